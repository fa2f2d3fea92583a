import type { CudaImage } from "../backend.ts";

export interface CompileRequest {
  readonly text: string;
  /** Name of the source, for messages and line information. */
  readonly file: string;
  /** For example `sm_80`. */
  readonly architecture: string;
  readonly output: CudaImage["kind"];
}

/** A compiler of CUDA C++: NVRTC or nvcc. */
export interface CudaCompiler {
  readonly kind: "nvrtc" | "nvcc";
  /** Exact version: part of the cache's keys. */
  readonly version: string;
  /** For people: `nvcc 13.0.88 (/usr/local/bin/nvcc)`. */
  readonly description: string;
  /** Compute capabilities (times ten) that it compiles for, rising. */
  readonly capabilities: readonly number[];
  /** Options beside the architecture and the form of the result; part of the cache's keys. */
  readonly options: readonly string[];
  /** @throws CudaError MTA813 (the source does not compile: the log is in the message), MTA817. */
  compile(request: CompileRequest): Promise<Uint8Array>;
}

/** Compute capability of an architecture's name, times ten, or null: 80 for `sm_80`, 90 for `sm_90a`. */
export function capabilityOf(architecture: string): number | null {
  const match = /^sm_(\d{2,3})[af]?$/.exec(architecture);
  return match === null ? null : Number(match[1]);
}

/** The first lines of a compiler's log, which may be very long. */
export function shorten(log: string, most = 40): string {
  const lines = log.trimEnd().split("\n");
  if (lines.length <= most) return lines.join("\n");
  return [...lines.slice(0, most), `… ${lines.length - most} more lines`].join("\n");
}
