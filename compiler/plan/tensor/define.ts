import type { KernelPlan, Pipeline, Plan, SourceLine } from "../../../runtime/contract/index.ts";
import type { TensorProgram } from "../../../runtime/contract/tensor-program.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { bindCuda } from "../bindings.ts";
import { definePlan, type PlanParts } from "../define.ts";
import type { PlanRequest } from "../limits.ts";
import { CHUNK_ELEMENTS } from "./support.ts";

/** A plan of tensor-core kernels. */
export function defineTensorPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  parts: PlanParts,
): Plan {
  const storage = pipeline.storage === "bf16" ? "bf16-native" : "f16-native";
  const plan = definePlan(pipeline, { ...request, storage }, parts);
  const elements = CHUNK_ELEMENTS;
  return {
    ...plan,
    requires: { ...plan.requires, features: [], computeCapability: architecture.computeCapability },
    alignment: { q: elements, k: elements, v: elements, o: elements },
  };
}

/** One tensor-core kernel of a plan. */
export function tensorKernel(
  pipeline: Pipeline,
  name: string,
  program: TensorProgram,
  bindings: { readonly read: readonly string[]; readonly written: readonly string[] },
  source: SourceLine | null = pipeline.source,
): KernelPlan {
  return {
    name,
    file: `${pipeline.name}.cu`,
    entryPoint: `${pipeline.name}_${name}`,
    workgroupSize: program.warps * 32,
    workgroupBytes: "sharedBytes" in program ? program.sharedBytes : 0,
    bindings: bindCuda(pipeline, bindings.read, bindings.written),
    overrides: {},
    source,
    program,
  };
}
