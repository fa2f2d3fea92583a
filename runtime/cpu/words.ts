import {
  type ConvStage,
  hasMask,
  headsOf,
  headsTogether,
  type OutputStage,
  type Pipeline,
  type ScoreStage,
  type WeightStage,
} from "../contract/pipeline.ts";
import type { Plan } from "../contract/plan.ts";

/** A stage of any section. */
type Stage = ScoreStage | WeightStage | OutputStage;

/** A field of a struct of the C library: its name there, and its value. */
export type Field = readonly [name: string, value: number, type: "int" | "float"];

const STORAGES = { f32: 0, f16: 1, bf16: 2 } as const;
const NORMALIZERS = { softmax: 0, sparsemax: 1 } as const;
const STAGES = { conv: 0, mix: 1, softcap: 2, relu: 3, norm: 4, gate: 5 } as const satisfies Record<
  Stage["kind"],
  number
>;

/** `struct attention` of `templates/c/attention.h`, in the order of its fields. */
export function attentionFields(plan: Pick<Plan, "pipeline" | "knobs">): readonly Field[] {
  const { pipeline, knobs } = plan;
  const window = pipeline.mask.find((term) => term.kind === "window");
  const flag = (kind: "causal" | "documents" | "lengths" | "bias"): Field => [
    kind,
    hasMask(pipeline, kind) ? 1 : 0,
    "int",
  ];
  return [
    ["heads", pipeline.heads, "int"],
    ["kv_heads", pipeline.kvHeads, "int"],
    ["head_dim", pipeline.headDim, "int"],
    ["value_dim", pipeline.valueDim, "int"],
    ["scale", pipeline.scale, "float"],
    ["storage", STORAGES[pipeline.storage], "int"],
    ["normalizer", NORMALIZERS[pipeline.normalize], "int"],
    flag("causal"),
    ["window", window?.size ?? 0, "int"],
    flag("documents"),
    flag("lengths"),
    flag("bias"),
    ["score_stages", pipeline.scores.length, "int"],
    ["weight_stages", pipeline.weights.length, "int"],
    ["output_stages", pipeline.output.length, "int"],
    ["group", headsTogether(pipeline), "int"],
    ["strip", Number(knobs["strip"]), "int"],
    ["block", Number(knobs["block"]), "int"],
  ];
}

/** `struct stage` of `templates/c/attention.h` for every stage: of scores, weights and output. */
export function stageFields(plan: Pick<Plan, "pipeline" | "parameters">): readonly (readonly Field[])[] {
  const { scores, weights, output } = plan.pipeline;
  const placeOf = (parameter: string | null): number => {
    const found = plan.parameters.find(({ name }) => name === parameter);
    return found === undefined ? -1 : found.offset;
  };
  return [...scores, ...weights, ...output].map((stage) => fieldsOf(stage, placeOf));
}

function fieldsOf(stage: Stage, placeOf: (parameter: string | null) => number): readonly Field[] {
  const conv = stage.kind === "conv" ? stage : NO_CONV;
  const value = stage.kind === "softcap" ? stage.limit : stage.kind === "norm" ? stage.eps : 0;
  const varies =
    (stage.kind === "gate" && stage.mode === "channel") || (stage.kind === "norm" && stage.depthScale);
  return [
    ["kind", STAGES[stage.kind], "int"],
    ["weight_at", placeOf("weight" in stage ? stage.weight : null), "int"],
    ["bias_at", placeOf("bias" in stage ? stage.bias : null), "int"],
    ["taps_query", conv.kernel.query, "int"],
    ["taps_key", conv.kernel.key, "int"],
    ["origin_query", conv.origin.query, "int"],
    ["origin_key", conv.origin.key, "int"],
    ["dilation_query", conv.dilation.query, "int"],
    ["dilation_key", conv.dilation.key, "int"],
    ["shared", conv.shared ? 1 : 0, "int"],
    ["heads", headsOf(stage), "int"],
    ["variant", varies ? 1 : 0, "int"],
    ["value", value, "float"],
  ];
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
  fields.forEach(([, value, type], index) => {
    if (type === "int") view.setInt32(index * 4, value, true);
    else view.setFloat32(index * 4, value, true);
  });
  return new Uint8Array(view.buffer);
}
