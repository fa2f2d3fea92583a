import type { BufferBinding, Cost, Pipeline, Plan, SourceLine } from "../../../runtime/contract/index.ts";
import type { TensorProgram } from "../../../runtime/contract/tensor-program.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { type BoundResource, bindCuda, mapOperand } from "../bindings.ts";
import { definePlan, type PlanParts } from "../define.ts";
import type { UnlaunchedKernel } from "../launch-fields.ts";
import type { PlanRequest } from "../machine.ts";
import { CHUNK_ELEMENTS } from "./support.ts";
import type { TensorKernel } from "./work.ts";

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
  bindings: {
    readonly read: readonly (string | BoundResource)[];
    readonly written: readonly (string | BoundResource)[];
  },
  source: SourceLine | null = pipeline.source,
): UnlaunchedKernel {
  return {
    name,
    file: `${pipeline.name}.cu`,
    entryPoint: `${pipeline.name}_${name}`,
    workgroupSize: program.warps * 32,
    workgroupBytes: "sharedBytes" in program ? program.sharedBytes : 0,
    bindings: bindCuda(pipeline, bindings.read, bindings.written).map(inChunks),
    overrides: {},
    source,
    program,
  };
}

/** Tensor-core kernels copy tensors in chunks of 16 bytes, and call the output's rows `o_rows`. */
function inChunks(binding: BufferBinding): BufferBinding {
  const { operand, resource } = binding;
  if (operand?.element !== "storage") return binding;
  const variable = resource === "o" ? "o_rows" : operand.variable;
  return { ...binding, operand: { ...operand, variable, width: CHUNK_ELEMENTS } };
}

/** A strip's map as tensor-core kernels read and write it. */
export function sourceMap(map: string): BoundResource {
  return mapOperand(map, "source", 1, "f16");
}

export function resultMap(map: string): BoundResource {
  return mapOperand(map, "result", 1, "f16");
}

/** What a fitted candidate consists of: kernels, of which costs follow, and a plan that is written when somebody asks for it. */
export interface TensorChoice {
  readonly kernels: readonly TensorKernel[];
  plan(cost: Cost): Plan;
}
