import type { BufferBinding, KernelProgram, Pipeline, SourceLine } from "../../runtime/contract/index.ts";
import { type BoundResource, bind } from "./bindings.ts";
import type { UnlaunchedKernel } from "./launch-fields.ts";
import type { Machine } from "./machine.ts";

/** What a schedule tells of one scalar kernel; the rest of its plan follows from the machine. */
export interface ScalarKernel<Program extends KernelProgram = KernelProgram> {
  /** Unique in the plan. */
  readonly name: string;
  readonly program: Program;
  readonly workgroup: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Resources, in order; `integers` stands for what holds the call's integer inputs. */
  readonly read: readonly (string | BoundResource)[];
  readonly written: readonly (string | BoundResource)[];
  readonly source: SourceLine | null;
}

export function kernelPlan(machine: Machine, pipeline: Pipeline, kernel: ScalarKernel): UnlaunchedKernel {
  const { name, program, workgroup, workgroupBytes, read, source } = kernel;
  const { naming } = machine;
  return {
    name,
    file: naming.file(pipeline, name),
    entryPoint: naming.entryPoint(pipeline, name),
    workgroupSize: workgroup,
    workgroupBytes,
    bindings: bindingsOf(machine, pipeline, kernel),
    overrides: read.includes("q_history") ? naming.historyOverrides : {},
    source,
    program,
  };
}

function bindingsOf(machine: Machine, pipeline: Pipeline, { read, written }: ScalarKernel): BufferBinding[] {
  const integers = machine.naming.integers(pipeline);
  const expanded = read.flatMap((each): readonly (string | BoundResource)[] =>
    each === "integers" ? integers : [each],
  );
  return bind(pipeline, [...new Set(expanded)], written);
}
