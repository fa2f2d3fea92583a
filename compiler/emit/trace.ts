import type { Artifact } from "../../runtime/contract/index.ts";
import { dialectOf } from "./dialect/index.ts";
import { specPlace } from "./provenance.ts";

/** From the lines of an emitted kernel back to the lines of the spec. */
export interface KernelTrace {
  /** The spec's file as kernels name it. */
  readonly file: string;
  /** The spec's line that a line of the kernel comes from; both are counted from 1. */
  lineOf(kernelLine: number): number;
}

/**
 * The traces of an artifact's kernels, by file name. Code that belongs to a stage comes from the stage's line; all else from that of its
 * kernel: the kernel's stage, or its attention where several stages are one file.
 *
 * @returns Nothing for an attention that was not made from a spec.
 */
export function traceKernels({
  plans,
  traces = {},
}: Pick<Artifact, "plans" | "traces">): Readonly<Record<string, KernelTrace>> {
  const found: Record<string, KernelTrace> = {};
  for (const { kernels, pipeline, target } of plans) {
    const { source } = pipeline;
    if (source === null) continue;
    const shared = dialectOf(target)?.sharing !== null;
    for (const kernel of kernels) {
      const own = shared ? source.line : (kernel.source?.line ?? source.line);
      const stages = traces[kernel.file] ?? [];
      found[kernel.file] = {
        file: specPlace(source.file),
        lineOf: (line) => stages.find(([first, last]) => first <= line && line <= last)?.[2] ?? own,
      };
    }
  }
  return found;
}
