import { hasDropout, hasMask, type Pipeline } from "./pipeline.ts";
import type { CallShape } from "./tensor.ts";

/** What one element of a tensor is: the spec's storage type, or a fixed one. */
export type TensorElement = "storage" | "f32" | "i32";

/** Axes of tensors, as documents and messages name them; `B or 1` may be broadcast. */
export type AxisName =
  | "B"
  | "H"
  | "Hkv"
  | "Lq"
  | "Lk"
  | "R"
  | "D"
  | "Dv"
  | "R + Lq"
  | "B or 1"
  | "H or 1"
  | "2";

/** When a tensor exists: with every attention, with a term of the mask, with a softmax, with a dropout, with stages of the output. */
type Existence = "always" | "documents" | "lengths" | "bias" | "softmax" | "dropout" | "output";

/** One tensor of a call: all that is known of it before the call. */
interface TensorFacts {
  /** In plans, files, kernels and messages. */
  readonly name: string;
  /** In `AttentionInputs` and in outputs. */
  readonly key: string;
  readonly role: "input" | "output" | "kept" | "output_gradient" | "gradient";
  readonly axes: readonly AxisName[];
  readonly element: TensorElement;
  readonly exists: Existence;
  /** Whether a call may leave it out where it exists. */
  readonly optional: boolean;
  /** Whether it may lie in memory with strides: kernels then take those of its axes but the last. Others are contiguous. */
  readonly strided: boolean;
}

/** The attention's result. */
export const O = {
  name: "o",
  key: "o",
  role: "output",
  axes: ["B", "H", "Lq", "Dv"],
  element: "storage",
  exists: "always",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

/** The logarithm of the softmax's sum, −∞ for a row that sees no key. */
export const LSE = {
  name: "lse",
  key: "lse",
  role: "output",
  axes: ["B", "H", "Lq"],
  element: "f32",
  exists: "softmax",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

/**
 * Weights times v: what the output's stages are given. A forward pass that a backward pass follows may keep it; one that finds it does not compute it
 * again.
 */
export const VALUES = {
  name: "values",
  key: "values",
  role: "kept",
  axes: ["B", "H", "Lq", "Dv"],
  element: "f32",
  exists: "output",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

/** The gradient of o, which a backward pass takes. */
export const D_O = {
  name: "d_o",
  key: "dO",
  role: "output_gradient",
  axes: ["B", "H", "Lq", "Dv"],
  element: "storage",
  exists: "always",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

const Q = {
  name: "q",
  key: "q",
  role: "input",
  axes: ["B", "H", "Lq", "D"],
  element: "storage",
  exists: "always",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

const K = {
  name: "k",
  key: "k",
  role: "input",
  axes: ["B", "Hkv", "Lk", "D"],
  element: "storage",
  exists: "always",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

const V = {
  name: "v",
  key: "v",
  role: "input",
  axes: ["B", "Hkv", "Lk", "Dv"],
  element: "storage",
  exists: "always",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

const Q_HISTORY = {
  name: "q_history",
  key: "qHistory",
  role: "input",
  axes: ["B", "H", "R", "D"],
  element: "storage",
  exists: "always",
  optional: true,
  strided: true,
} as const satisfies TensorFacts;

const DOCUMENTS = {
  name: "documents",
  key: "documents",
  role: "input",
  axes: ["B", "Lk"],
  element: "i32",
  exists: "documents",
  optional: false,
  strided: false,
} as const satisfies TensorFacts;

const LENGTHS = {
  name: "lengths",
  key: "lengths",
  role: "input",
  axes: ["B"],
  element: "i32",
  exists: "lengths",
  optional: false,
  strided: false,
} as const satisfies TensorFacts;

const POSITIONS = {
  name: "positions",
  key: "positions",
  role: "input",
  axes: ["B"],
  element: "i32",
  exists: "always",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

const BIAS = {
  name: "bias",
  key: "bias",
  role: "input",
  axes: ["B or 1", "H or 1", "R + Lq", "Lk"],
  element: "f32",
  exists: "bias",
  optional: false,
  strided: true,
} as const satisfies TensorFacts;

const DROPOUT_SEED = {
  name: "dropout_seed",
  key: "dropoutSeed",
  role: "input",
  axes: ["2"],
  element: "i32",
  exists: "dropout",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

const D_Q = {
  name: "d_q",
  key: "dQ",
  role: "gradient",
  axes: ["B", "H", "Lq", "D"],
  element: "f32",
  exists: "always",
  optional: false,
  strided: false,
} as const satisfies TensorFacts;

const D_Q_HISTORY = {
  name: "d_q_history",
  key: "dQHistory",
  role: "gradient",
  axes: ["B", "H", "R", "D"],
  element: "f32",
  exists: "always",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

const D_K = {
  name: "d_k",
  key: "dK",
  role: "gradient",
  axes: ["B", "Hkv", "Lk", "D"],
  element: "f32",
  exists: "always",
  optional: false,
  strided: false,
} as const satisfies TensorFacts;

const D_V = {
  name: "d_v",
  key: "dV",
  role: "gradient",
  axes: ["B", "Hkv", "Lk", "Dv"],
  element: "f32",
  exists: "always",
  optional: false,
  strided: false,
} as const satisfies TensorFacts;

const D_BIAS = {
  name: "d_bias",
  key: "dBias",
  role: "gradient",
  axes: ["B or 1", "H or 1", "R + Lq", "Lk"],
  element: "f32",
  exists: "bias",
  optional: true,
  strided: false,
} as const satisfies TensorFacts;

/*
 * Lists of them, as literals: what a bundle does not use of these it leaves out, as it would not with lists that are computed.
 */

/**
 * Every tensor of a call but the parameters, once: whoever needs a list of tensors derives it from this one. Inputs in the order
 * in which messages and files list them, then outputs, then what a backward pass takes and gives.
 */
export const TENSORS = [
  Q,
  K,
  V,
  Q_HISTORY,
  DOCUMENTS,
  LENGTHS,
  POSITIONS,
  BIAS,
  DROPOUT_SEED,
  O,
  LSE,
  VALUES,
  D_O,
  D_Q,
  D_Q_HISTORY,
  D_K,
  D_V,
  D_BIAS,
] as const;

/** One tensor of `TENSORS`. */
export type TensorResource = (typeof TENSORS)[number];
/** The name of a tensor in plans, files, kernels and messages. */
export type TensorName = TensorResource["name"];
type Stretched<T> = Extract<T, { readonly strided: true }>;
/** The name of a tensor that may lie in memory with strides. */
export type StridedName = Stretched<TensorResource>["name"];
/** A tensor that a call gives. */
export type InputResource = Extract<TensorResource, { readonly role: "input" }>;
/** A tensor that a call gives back. */
export type OutputResource = Extract<TensorResource, { readonly role: "output" }>;
/** A gradient that a backward pass gives: that of an input, f32. Those of the parameters are one buffer, `d_parameters`. */
export type GradientResource = Extract<TensorResource, { readonly role: "gradient" }>;
/** The key of an input in `AttentionInputs`. */
export type InputKey = InputResource["key"];

/** A tensor of a forward pass. */
export type ForwardResource = Exclude<
  TensorResource,
  { readonly role: "kept" | "output_gradient" | "gradient" }
>;

/** The tensors that a call gives. */
export const INPUT_TENSORS: readonly InputResource[] = [
  Q,
  K,
  V,
  Q_HISTORY,
  DOCUMENTS,
  LENGTHS,
  POSITIONS,
  BIAS,
  DROPOUT_SEED,
];
/** The tensors that a call gives back. */
export const OUTPUT_TENSORS: readonly OutputResource[] = [O, LSE];
/** The tensors of a forward pass. */
export const FORWARD_TENSORS: readonly ForwardResource[] = [
  Q,
  K,
  V,
  Q_HISTORY,
  DOCUMENTS,
  LENGTHS,
  POSITIONS,
  BIAS,
  DROPOUT_SEED,
  O,
  LSE,
];
/** The tensors that a backward pass gives, beside the gradients of the parameters. */
export const GRADIENT_TENSORS: readonly GradientResource[] = [D_Q, D_Q_HISTORY, D_K, D_V, D_BIAS];
/** The tensors of a forward pass that may lie in memory with strides. */
export const STRIDED_TENSORS = [
  Q,
  K,
  V,
  Q_HISTORY,
  BIAS,
  O,
] as const satisfies readonly Stretched<ForwardResource>[];
/** All tensors that may lie in memory with strides, that of a backward pass among them. */
export const ALL_STRIDED_TENSORS = [
  Q,
  K,
  V,
  Q_HISTORY,
  BIAS,
  O,
  D_O,
] as const satisfies readonly Stretched<TensorResource>[];

/** The tensor of a name, or null where a name is none (`parameters`, a workspace). */
export function findTensor(name: string): TensorResource | null {
  return TENSORS.find((tensor) => tensor.name === name) ?? null;
}

/** Whether calls of an attention can have a tensor. */
export function tensorExists(pipeline: Pipeline, { exists }: TensorResource): boolean {
  switch (exists) {
    case "always":
      return true;
    case "softmax":
      return pipeline.normalize === "softmax";
    case "dropout":
      return hasDropout(pipeline);
    case "output":
      return pipeline.output.length > 0;
    default:
      return hasMask(pipeline, exists);
  }
}

/**
 * The sizes that an axis may have: one, or two where it may be broadcast.
 * @param shape The sizes of the call, as far as they are known: an axis of one that is not known gives null.
 */
export function axisSizes(
  pipeline: Pipeline,
  axis: AxisName,
  shape: Partial<CallShape>,
): readonly number[] | null {
  switch (axis) {
    case "H":
      return [pipeline.heads];
    case "Hkv":
      return [pipeline.kvHeads];
    case "D":
      return [pipeline.headDim];
    case "Dv":
      return [pipeline.valueDim];
    case "B":
    case "Lq":
    case "Lk":
    case "R": {
      const size = shape[axis];
      return size === undefined ? null : [size];
    }
    case "R + Lq":
      return shape.R === undefined || shape.Lq === undefined ? null : [shape.R + shape.Lq];
    case "B or 1":
      return shape.B === undefined ? null : [shape.B, 1];
    case "H or 1":
      return [pipeline.heads, 1];
    case "2":
      return [2];
  }
}

/** The shape of a tensor in a call; that of an axis which may be broadcast is not. */
export function shapeOf(pipeline: Pipeline, axes: readonly AxisName[], shape: CallShape): readonly number[] {
  return axes.map((axis) => axisSizes(pipeline, axis, shape)?.[0] ?? 0);
}
