import type { CpuErrorCode } from "./errors.ts";

/** What each error of the CPU runtimes means. Apart from the errors themselves, so that only programs that show this table bundle it. */
export const CPU_ERRORS: Readonly<Record<CpuErrorCode, string>> = {
  MTA880: "no C compiler",
  MTA881: "an optional package is not installed",
  MTA882: "the folder for compiled libraries cannot be written",
  MTA883: "the C library does not compile",
  MTA884: "the compiled library, or a module, cannot be loaded",
  MTA885: "WebAssembly has no SIMD here",
  MTA886: "there is no such number of threads",
  MTA887: "the device was closed, or the launcher or a tensor destroyed",
  MTA888: "the memory is used up",
  MTA889: "no plan of the artifact fits the processor",
  MTA890: "the artifact has no such plan, or is none",
  MTA891: "a tensor has the wrong storage type",
  MTA892: "a tensor has unusable strides",
  MTA893: "a tensor's offset is no multiple of its elements",
  MTA894: "a tensor reaches past the end of its memory",
  MTA895: "an output overlaps another tensor",
  MTA896: "an output has the wrong shape",
  MTA897: "host data does not match its shape or storage type",
  MTA898: "a parameter has the wrong number of values",
  MTA899: "a CpuDevice is needed, and something else was given",
};
