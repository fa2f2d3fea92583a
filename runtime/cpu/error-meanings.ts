import type { CpuErrorCode } from "./errors.ts";

/** What each error of the CPU runtimes means. Apart from the errors themselves, so that only programs that show this table bundle it. */
export const CPU_ERRORS: Readonly<Record<CpuErrorCode, string>> = {
  MTA870: "no C compiler",
  MTA871: "an optional package is not installed",
  MTA872: "the folder for compiled libraries cannot be written",
  MTA873: "the C library does not compile",
  MTA874: "the compiled library cannot be loaded",
  MTA875: "WebAssembly has no SIMD here",
  MTA876: "there is no such number of threads",
  MTA877: "the device was closed, or the launcher destroyed",
  MTA878: "the memory is used up",
  MTA880: "no plan of the artifact fits the processor",
  MTA881: "the artifact has no such plan, or is none",
  MTA882: "a tensor has the wrong storage type",
  MTA883: "a tensor has unusable strides",
  MTA884: "a tensor's offset is no multiple of its elements",
  MTA885: "a tensor reaches past the end of its memory",
  MTA886: "an output overlaps another tensor",
  MTA887: "an output has the wrong shape",
  MTA888: "host data does not match its shape or storage type",
  MTA889: "a parameter has the wrong number of values",
  MTA890: "a CpuDevice is needed, and something else was given",
  MTA891: "a module cannot be fetched",
};
