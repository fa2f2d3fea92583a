import type {
  KernelProgram,
  Pipeline,
  Plan,
  SourceLine,
  StorageForm,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { type BoundResource, bindCuda } from "../bindings.ts";
import { definePlan, type PlanParts } from "../define.ts";
import type { UnlaunchedKernel } from "../launch-fields.ts";
import type { PlanRequest } from "../machine.ts";

/** A plan of kernels on exact f32 units. */
export function defineDirectPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  parts: PlanParts,
): Plan {
  const plan = definePlan(pipeline, { ...request, storage: nativeStorage(pipeline) }, parts);
  return {
    ...plan,
    requires: { ...plan.requires, features: [], computeCapability: architecture.computeCapability },
  };
}

function nativeStorage(pipeline: Pipeline): StorageForm {
  switch (pipeline.storage) {
    case "f32":
      return "f32";
    case "f16":
      return "f16-native";
    case "bf16":
      return "bf16-native";
  }
}

/** What is told of one direct kernel; the rest of its plan follows. */
export interface DirectKernel {
  readonly name: string;
  readonly program: KernelProgram;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly read: readonly (string | BoundResource)[];
  readonly written: readonly (string | BoundResource)[];
  readonly source: SourceLine | null;
}

export function directKernelPlan(pipeline: Pipeline, kernel: DirectKernel): UnlaunchedKernel {
  return {
    name: kernel.name,
    file: `${pipeline.name}.cu`,
    entryPoint: `${pipeline.name}_${kernel.name}`,
    workgroupSize: kernel.threads,
    workgroupBytes: kernel.sharedBytes,
    bindings: bindCuda(pipeline, kernel.read, kernel.written),
    overrides: {},
    source: kernel.source,
    program: kernel.program,
  };
}
