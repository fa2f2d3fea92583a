import {
  type ConvStage,
  type Finish,
  hasMask,
  type KernelPlan,
  type Pipeline,
  type Plan,
} from "../../../../runtime/contract/index.ts";
import { describe, parameterAt, stageName } from "../../model.ts";
import { type PointwiseModel, pointwiseComment, pointwiseModel } from "../../pointwise.ts";
import { type CudaConstant, cudaFloat, cudaParameters, type MaskModel, maskModel } from "../source-model.ts";

/** Collects a kernel's constants and gives back their names, for templates to print. */
export class Constants {
  readonly list: CudaConstant[] = [];

  int(name: string, value: number, comment?: string): string {
    return this.#add("int", name, String(value), comment);
  }

  bool(name: string, value: boolean, comment?: string): string {
    return this.#add("bool", name, String(value), comment);
  }

  #add(type: CudaConstant["type"], name: string, value: string, comment: string | undefined): string {
    const known = this.list.find((constant) => constant.name === name);
    if (known === undefined)
      this.list.push({ type, name, value, ...(comment === undefined ? {} : { comment }) });
    else if (known.value !== value) throw new RangeError(`the constant ${name} has two values`);
    return name;
  }
}

/** What every template of a direct kernel gets. */
export interface DirectModel {
  readonly kernel: string;
  readonly entryPoint: string;
  readonly purpose: readonly string[];
  readonly parameters: readonly { readonly type: string; readonly name: string }[];
  readonly constants: readonly CudaConstant[];
  readonly mask: MaskModel;
}

export function directModel(
  plan: Plan,
  kernel: KernelPlan,
  options: {
    readonly constants: Constants;
    readonly purpose: readonly string[];
  },
): DirectModel {
  const { constants, purpose } = options;
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: [
      ...purpose,
      `${kernel.workgroupSize} threads${kernel.workgroupBytes === 0 ? "" : `, ${kernel.workgroupBytes} bytes of shared memory`}.`,
    ],
    parameters: cudaParameters(kernel, "Element"),
    constants: [
      { type: "int", name: "THREADS", value: String(kernel.workgroupSize), comment: "Threads of a block." },
      ...constants.list,
    ],
    mask: maskModel(plan.pipeline),
  };
}

/** How the rows of q and k, and of v, are loaded. */
function loadModel(name: string, rows: string, size: number, width: number) {
  const tail = size % 4;
  return {
    name,
    rows,
    size,
    four: width === 4,
    two: width === 2,
    tail,
    tailIsOne: tail === 1,
    tailOffsets: Array.from({ length: tail }, (_, index) => index),
    tailZeros: Array.from({ length: 4 - tail }, () => "0.0f").join(", "),
    split: tail !== 0 && size > 4,
    onlyTail: tail !== 0 && size < 4,
  };
}

/** What the direct kernels of a plan share, beside the preamble: `partials/direct-ops`. */
export function directOpsModel(plan: Plan) {
  const { headDim, valueDim } = plan.pipeline;
  return {
    storage: {
      f32: plan.storage === "f32",
      f16: plan.storage === "f16-native",
      name: plan.storage === "bf16-native" ? "a bf16" : "an f16",
    },
    loads: [
      loadModel("head", "queries or keys", headDim, plan.alignment.q),
      loadModel("value", "values", valueDim, plan.alignment.v),
    ],
    store: { four: plan.alignment.o === 4, two: plan.alignment.o === 2 },
  };
}

export interface FinishModel {
  readonly function: string;
  readonly comment: string;
  readonly pointwise: readonly PointwiseModel[];
  readonly addBias: boolean;
  readonly normalize: boolean;
  /** What an entry becomes that is not visible. */
  readonly hidden: string;
}

export function finishModel(pipeline: Pipeline, name: string, finish: Finish): FinishModel {
  const addBias = finish.mask !== "zero" && hasMask(pipeline, "bias");
  const caps = finish.pointwise.map(pointwiseComment).join("");
  const text = {
    zero: "0 where not visible",
    hide: "HIDDEN where not visible, so that the softmax leaves it out",
    normalize: "the softmax's weight, exp(score - maximum of the row) / sum; 0 where not visible",
  }[finish.mask];
  return {
    function: `finish_${name}`,
    comment: `An entry: ${caps}${addBias ? "plus the bias, " : ""}${text}.`,
    pointwise: finish.pointwise.map((each) => pointwiseModel(each, cudaFloat)),
    addBias,
    normalize: finish.mask === "normalize",
    hidden: finish.mask === "hide" ? "HIDDEN" : "0.0f",
  };
}

/** Taps whose weights a thread holds in registers at a time. */
const MOST_TAPS = 16;
const CHUNK_TAPS = 8;

/**
 * The model of `partials/direct-conv-block`.
 *
 * @param tile Where the taps are read in shared memory: words between two rows, and words from an aligned place to the first
 *   tap. Null where they are read from the map.
 */
export function convModel(
  plan: Plan,
  stage: ConvStage,
  tile: { readonly rowStride: string; readonly shift: number } | null,
  constants: Constants,
) {
  const name = stageName(stage).toUpperCase();
  const query = constants.int(`${name}_QUERY`, stage.kernel.query, "Rows and keys of the kernel.");
  const key = constants.int(`${name}_KEY`, stage.kernel.key);
  const chunks = stage.kernel.key > MOST_TAPS;
  const rest = chunks ? stage.kernel.key % CHUNK_TAPS : key;
  return {
    spec: describe(stage),
    function: stageName(stage),
    query,
    key,
    across: constants.int(`${name}_ACROSS`, stage.across, "Heads that one kernel reads."),
    joint: stage.across > 1,
    shared: stage.shared,
    weightAt: constants.int(
      `${name}_WEIGHT_AT`,
      parameterAt(plan, stage.weight),
      `${stage.weight} in parameters.`,
    ),
    bias: stage.bias !== null,
    biasAt: stage.bias === null ? "" : constants.int(`${name}_BIAS_AT`, parameterAt(plan, stage.bias)),
    dilationQuery: constants.int(`${name}_DILATION_QUERY`, stage.dilation.query),
    dilationKey: constants.int(`${name}_DILATION_KEY`, stage.dilation.key),
    slides: stage.dilation.key === 1,
    documents: hasMask(plan.pipeline, "documents"),
    ...(tile === null
      ? { fromTile: false as const }
      : {
          fromTile: true as const,
          rowStride: tile.rowStride,
          shift: constants.int(
            `${name}_SHIFT`,
            tile.shift,
            "Words before the first tap from a 16-byte boundary on.",
          ),
          chunks,
          chunk: CHUNK_TAPS,
          rest,
          restAt: chunks ? ` + ${key} / ${CHUNK_TAPS} * ${CHUNK_TAPS}` : "",
        }),
  };
}
