import type {
  ConvStage,
  KernelPlan,
  MapSource,
  Plan,
  Pointwise,
  StageIndex,
  TensorProgram,
} from "../../../../runtime/contract/index.ts";
import { CUDA } from "../../dialect/cuda.ts";
import { ConstantTable } from "../../model/constants.ts";
import { keeps, maskModel, operandOf } from "../../model/source.ts";
import { describe, parameterAt, sourceLine, stageLabel } from "../../model/stages.ts";
import { type PointwiseModel, pointwiseModel } from "../../pointwise.ts";

/** What a kernel's constants begin with. */
export function threadConstants({ warps }: Pick<TensorProgram, "warps">): ConstantTable {
  const constants = new ConstantTable();
  constants.int("WARPS", warps);
  constants.int("THREADS", warps * 32);
  return constants;
}

/** What every template of a tensor-core kernel gets. */
export function tensorModel(
  plan: Plan,
  kernel: KernelPlan,
  options: {
    readonly purpose: readonly string[];
    readonly constants: ConstantTable;
    /** Blocks that a multiprocessor should hold; null leaves it to the compiler. */
    readonly blocksPerSm: number | null;
  },
) {
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: options.purpose,
    bindings: kernel.bindings.map((bound) => CUDA.binding(bound, operandOf(bound), plan)),
    constants: options.constants.print(CUDA),
    bounds: options.blocksPerSm === null ? "THREADS" : `THREADS, ${options.blocksPerSm}`,
    mask: maskModel(plan.pipeline, CUDA),
    half: halfOf(plan),
    keeps: keeps(kernel),
  };
}

/** The type of stored tensors, as names of instructions have it. */
export function halfOf(plan: Plan): "f16" | "bf16" {
  return plan.storage === "bf16-native" ? "bf16" : "f16";
}

/** Kernels read rows in shared memory through ldmatrix: eight of them at a time. */
export const ROW_COMMENT = "Rows in shared memory: an odd number of 16-byte units, against bank conflicts.";

/** Blocks of eight columns of a fragment: products take two at a time. */
export function granules(columns: number): number {
  return Math.ceil(columns / 16) * 2;
}

function float(value: number): string {
  return CUDA.literal("f32", value);
}

export function pointwiseModels(list: readonly Pointwise[]): PointwiseModel[] {
  return list.map((each) => pointwiseModel(each, float));
}

/** Where the weight of a stage lies. */
export function weightConstant(
  plan: Plan,
  constants: ConstantTable,
  stage: { readonly weight: string },
): void {
  constants.int("WEIGHT_AT", parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
}

/** How a kernel comes to weights that the map it reads does not hold as they are: with the statistics of their rows. */
export function sourceModel(source: MapSource) {
  const fromScores = source === "scores";
  return {
    fromWeights: source !== "map",
    fromScores,
    weightsOf: fromScores ? "weights_of_128" : "quotients_of_128",
  };
}

/** A convolution's kernel along the keys. */
export function keyConstants(constants: ConstantTable, stage: ConvStage): void {
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  constants.int("KERNEL_KEY", stage.kernel.key);
  constants.int("ORIGIN_KEY", stage.origin.key, "The tap that meets the current key.");
  constants.int("DILATION_KEY", stage.dilation.key);
}

/** A head's kernel among those of a convolution within heads, and its bias. */
export function ofHead(array: string, stage: ConvStage): string {
  const size = array === "BIAS_AT" ? "" : " * (KERNEL_QUERY * KERNEL_KEY)";
  if (!stage.shared) return `${array} + head${size}`;
  if (stage.across === 1) return array;
  const index = `head % ${stage.across}`;
  return `${array} + ${size === "" ? index : `(${index})`}${size}`;
}

/**
 * How a stage's map is packed: in the storage type where the product with the values reads it, else in f16, which is finer
 * than bf16 and wide enough.
 */
export function packOf(plan: Plan, index: StageIndex | null, normalizes = false): string {
  const { weights } = plan.pipeline;
  const last = normalizes
    ? weights.length === 0
    : index?.section === "weights" && index.index === weights.length - 1;
  // Scores have no bounds.
  if (!normalizes && index?.section !== "weights") return "pack_within_f16";
  return `pack_${last ? halfOf(plan) : "f16"}`;
}

/** Places of the output stages' parameters, as constants. */
export function outputConstants(plan: Plan, constants: ConstantTable): void {
  for (const stage of plan.pipeline.output) {
    constants.int(placeName(stage.weight), parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
    if (stage.kind === "gate") constants.int(placeName(stage.bias), parameterAt(plan, stage.bias));
  }
}

function placeName(parameter: string): string {
  return `${parameter.replaceAll(".", "_").toUpperCase()}_AT`;
}

/** The output's stages, as `partials/tensor-epilogue-calls` wants them. */
export function outputStages(plan: Plan) {
  return plan.pipeline.output.map((stage) => {
    const norm = stage.kind === "norm";
    return {
      line: sourceLine(stage),
      comment: stageLabel(stage),
      weightAt: placeName(stage.weight),
      norm: norm ? { eps: float(stage.eps), factor: stage.depthScale ? "launch.depth_scale" : "1.0f" } : null,
      gate: norm ? null : { biasAt: placeName(stage.bias), scalar: stage.mode === "scalar" },
    };
  });
}
