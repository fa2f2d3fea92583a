import {
  type ConvStage,
  dropoutThreshold,
  hasMask,
  headsOf,
  headsTogether,
  type OutputStage,
  type ScoreStage,
  type WeightStage,
} from "./pipeline.ts";
import type { Plan } from "./plan.ts";

/** A stage of any section. */
type Stage = ScoreStage | WeightStage | OutputStage;

/** A field of a struct of the C library. Programs give it as a word of memory, emitted sources as an initializer. */
export interface Field {
  /** Its name in C. */
  readonly name: string;
  readonly value: number;
  readonly type: "int" | "float";
  /** What stands for the value in C: an enumerator of the library. */
  readonly enumerator?: string;
  /** The parameter that lies where the value says. */
  readonly parameter?: string;
}

const STORAGES = { f32: 0, f16: 1, bf16: 2 } as const;
const NORMALIZERS = { softmax: 0, sparsemax: 1 } as const;
const STAGES = {
  conv: 0,
  mix: 1,
  softcap: 2,
  relu: 3,
  norm: 4,
  gate: 5,
  dropout: 6,
} as const satisfies Record<Stage["kind"], number>;

function int(name: string, value: number): Field {
  return { name, value, type: "int" };
}

function float(name: string, value: number): Field {
  return { name, value, type: "float" };
}

/** @param prefix What the enumerators' names begin with. */
function enumerated<Word extends string>(
  name: string,
  prefix: string,
  values: Readonly<Record<Word, number>>,
  word: Word,
): Field {
  return { ...int(name, values[word]), enumerator: `${prefix}_${word.toUpperCase()}` };
}

/** `struct attention` of `templates/c/attention.h`, in the order of its fields. */
export function attentionFields(plan: Pick<Plan, "pipeline" | "knobs">): readonly Field[] {
  const { pipeline, knobs } = plan;
  const window = pipeline.mask.find((term) => term.kind === "window");
  const flag = (kind: "causal" | "documents" | "lengths" | "bias"): Field =>
    int(kind, hasMask(pipeline, kind) ? 1 : 0);
  return [
    int("heads", pipeline.heads),
    int("kv_heads", pipeline.kvHeads),
    int("head_dim", pipeline.headDim),
    int("value_dim", pipeline.valueDim),
    float("scale", pipeline.scale),
    enumerated("storage", "STORAGE", STORAGES, pipeline.storage),
    enumerated("normalizer", "NORMALIZE", NORMALIZERS, pipeline.normalize),
    flag("causal"),
    int("window", window?.size ?? 0),
    flag("documents"),
    flag("lengths"),
    flag("bias"),
    int("score_stages", pipeline.scores.length),
    int("weight_stages", pipeline.weights.length),
    int("output_stages", pipeline.output.length),
    int("group", headsTogether(pipeline)),
    int("strip", Number(knobs["strip"])),
    int("block", Number(knobs["block"])),
  ];
}

/** `struct stage` of `templates/c/attention.h` for every stage: of scores, weights and output. */
export function stageFields(plan: Pick<Plan, "pipeline" | "parameters">): readonly (readonly Field[])[] {
  const { scores, weights, output } = plan.pipeline;
  const placeOf = (field: string, parameter: string | null): Field => {
    const found = plan.parameters.find(({ name }) => name === parameter);
    return found === undefined ? int(field, -1) : { ...int(field, found.offset), parameter: found.name };
  };
  return [...scores, ...weights, ...output].map((stage) => fieldsOf(stage, placeOf));
}

function fieldsOf(
  stage: Stage,
  placeOf: (field: string, parameter: string | null) => Field,
): readonly Field[] {
  const conv = stage.kind === "conv" ? stage : NO_CONV;
  const varies =
    (stage.kind === "gate" && stage.mode === "channel") || (stage.kind === "norm" && stage.depthScale);
  return [
    enumerated("kind", "STAGE", STAGES, stage.kind),
    placeOf("weight_at", "weight" in stage ? stage.weight : null),
    placeOf("bias_at", "bias" in stage ? stage.bias : null),
    int("taps_query", conv.kernel.query),
    int("taps_key", conv.kernel.key),
    int("origin_query", conv.origin.query),
    int("origin_key", conv.origin.key),
    int("dilation_query", conv.dilation.query),
    int("dilation_key", conv.dilation.key),
    int("shared", conv.shared ? 1 : 0),
    int("heads", headsOf(stage)),
    int("variant", varies ? 1 : 0),
    float("value", numberOf(stage)),
    int("dropped_below", stage.kind === "dropout" ? dropoutThreshold(stage) | 0 : 0),
  ];
}

/** The number that a stage's formula has. */
function numberOf(stage: Stage): number {
  switch (stage.kind) {
    case "softcap":
      return stage.limit;
    case "norm":
      return stage.eps;
    case "dropout":
      return 1 / (1 - stage.rate);
    default:
      return 0;
  }
}

const NO_CONV: Pick<ConvStage, "kernel" | "origin" | "dilation" | "shared"> = {
  kernel: { query: 0, key: 0 },
  origin: { query: 0, key: 0 },
  dilation: { query: 0, key: 0 },
  shared: false,
};

/** Fields as the words that the library reads: 32 bits each. */
export function wordsOf(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.length * 4));
  fields.forEach(({ value, type }, index) => {
    if (type === "int") view.setInt32(index * 4, value, true);
    else view.setFloat32(index * 4, value, true);
  });
  return new Uint8Array(view.buffer);
}
