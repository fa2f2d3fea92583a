import {
  type ConvStage,
  type Finish,
  hasMask,
  type MixStage,
  type Pipeline,
  type Plan,
} from "../../../runtime/contract/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { pointwiseComment, pointwiseModel } from "../pointwise.ts";
import type { ConstantTable } from "./constants.ts";
import { describe, describeReach, parameterAt, stageName } from "./stages.ts";

/** What becomes of an entry before it is stored: a function of its own. */
export function finishModel(pipeline: Pipeline, name: string, { mask, pointwise }: Finish, dialect: Dialect) {
  const addBias = mask !== "zero" && hasMask(pipeline, "bias");
  const text = {
    zero: "0 where not visible",
    hide: "HIDDEN where not visible, so that the softmax leaves it out",
    normalize: "the softmax's weight, exp(score - maximum of the row) / sum; 0 where not visible",
  }[mask];
  return {
    function: `finish_${name}`,
    comment: `${pointwise.map(pointwiseComment).join("")}${addBias ? "plus the bias, " : ""}${text}`,
    pointwise: pointwise.map((each) => pointwiseModel(each, (value) => dialect.literal("f32", value))),
    addBias,
    /** Whether the entry changes beside being hidden. */
    changes: addBias || pointwise.length > 0,
    normalize: mask === "normalize",
    /** What an entry becomes that is not visible. */
    hidden: mask === "hide" ? "HIDDEN" : dialect.literal("f32", 0),
  };
}

/** Taps whose weights a thread holds in registers at a time, where it holds a whole row of them or some at a time. */
const MOST_TAPS = 16;
const CHUNK_TAPS = 8;

/**
 * A convolution: its constants begin with `name`.
 *
 * @param shift Columns of a staged tile between a multiple of four and the first tap.
 * @param adjoint Whether gradients pass back through it: the taps then stand the other way round.
 */
export function convModel(
  plan: Plan,
  stage: ConvStage,
  table: ConstantTable,
  shift: number,
  adjoint = false,
) {
  const name = stageName(stage).toUpperCase();
  const { kernel, dilation } = stage;
  table.int(`${name}_QUERY`, kernel.query, "Rows of the kernel.");
  table.int(`${name}_KEY`, kernel.key, "Keys of the kernel.");
  table.int(`${name}_ACROSS`, stage.across, "Heads that one kernel reads.");
  table.int(`${name}_WEIGHT_AT`, parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
  if (stage.bias !== null && !adjoint)
    table.int(`${name}_BIAS_AT`, parameterAt(plan, stage.bias), `${stage.bias} in parameters.`);
  table.int(`${name}_DILATION_QUERY`, dilation.query, "Rows from one row of taps to the next.");
  table.int(`${name}_DILATION_KEY`, dilation.key, "Keys from one tap to the next.");
  table.int(`${name}_SHIFT`, shift, "Words before the first tap from a 16-byte boundary on.");
  const chunks = kernel.key > MOST_TAPS;
  if (chunks) table.int(`${name}_TAPS`, CHUNK_TAPS, "Taps whose weights are held at a time.");
  return {
    spec: adjoint ? `Back through ${describe(stage)}` : `${describe(stage)} (${describeReach(stage)})`,
    adjoint,
    name,
    function: stageName(stage),
    /** Whether a kernel reads several heads. */
    joint: stage.across > 1,
    /** Whether all groups of heads have the same kernels. */
    shared: stage.shared,
    bias: stage.bias !== null && !adjoint,
    /** Whether neighbouring taps are neighbouring entries. */
    slides: dilation.key === 1,
    documents: hasMask(plan.pipeline, "documents"),
    chunks,
    rest: chunks && kernel.key % CHUNK_TAPS > 0,
  };
}

/**
 * A mix of heads: its constants begin with `name`.
 * @param outputs Heads that an invocation writes.
 */
export function mixModel(
  plan: Plan,
  stage: MixStage,
  table: ConstantTable,
  outputs: number,
  adjoint = false,
) {
  const name = stageName(stage).toUpperCase();
  table.int(`${name}_GROUP`, stage.group, "Heads that are mixed.");
  table.int(`${name}_WEIGHT_AT`, parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
  return {
    spec: describe(stage),
    adjoint,
    name,
    /** The heads that an invocation writes, where a language keeps their registers apart. */
    outputs: Array.from({ length: outputs }, (_, index) => index),
  };
}
