import type { Pointwise, StageIndex } from "./finish.ts";

/**
 * What the kernels of a backward pass do that a forward pass has no use for. Maps are as in a forward pass: [head][row][key] of a strip, each
 * entry 0 where its own row does not see its key. Rows of values lie in strips, too: [head][row][channel], f32.
 */

/** Pointwise stages from one map to another, or what passes back through them: the gradient's map, in place. */
export interface PointwiseProgram {
  readonly kind: "pointwise";
  readonly stages: readonly Pointwise[];
  readonly adjoint: boolean;
  readonly tileQ: number;
  readonly tileK: number;
}

/** What passes back through softmax or sparsemax: the gradient's map becomes that of the scores, in place. */
export interface NormalizeAdjointProgram {
  readonly kind: "normalize_adjoint";
  readonly records?: LargestEntry;
  /** Invocations that share a row. */
  readonly team: number;
  readonly arenaWords: number;
}

/** Rows of a map times keys or values: what an attention gives before its output's stages, or the gradient of the queries. */
export interface RowProductProgram {
  readonly kind: "row_product";
  readonly of: "k" | "v";
}

/** Columns of a map times rows, added up over the strip: the gradient of keys (rows of q) or values (rows of o's gradient). */
export interface KeyProductProgram {
  readonly kind: "key_product";
  readonly of: "k" | "v";
}

/** Sums of products of a convolution's input and its result's gradient, a part of them each workgroup. */
export interface ConvGradientProgram {
  readonly kind: "conv_gradient";
  readonly stage: StageIndex;
  /** Taps of a row of the kernel that a workgroup sums up, and how many workgroups share the row. */
  readonly taps: number;
  readonly chunks: number;
  /** Keys of a workgroup. */
  readonly tileK: number;
  readonly arenaWords: number;
}

/** The same for a mix: four outputs by four inputs a workgroup. */
export interface MixGradientProgram {
  readonly kind: "mix_gradient";
  readonly stage: StageIndex;
  readonly tileK: number;
  readonly arenaWords: number;
}

/** What passes back through the output's stages, row by row, and what it adds to their parameters. */
export interface OutputAdjointProgram {
  readonly kind: "output_adjoint";
  readonly records?: LargestEntry;
  /** Rows of a workgroup, and how many of them it computes at a time. */
  readonly rows: number;
  readonly rowsAtOnce: number;
  /** Words of the parameters' gradients of the output's stages. */
  readonly parameterWords: number;
  readonly arenaWords: number;
}

/** What a strip has of the gradient of the bias: the gradient of the scores, summed up where heads or batch entries share a bias. */
export interface BiasGradientProgram {
  readonly kind: "bias_gradient";
  readonly tileQ: number;
  readonly tileK: number;
}

/** Adds parts up in their order, onto the gradients of a parameter. */
export interface SumProgram {
  readonly kind: "sum";
  /** Where the parameter lies among all. */
  readonly at: number;
  /** Its elements: a part has one of each. */
  readonly length: number;
}

/** Makes a buffer zero. */
export interface ClearProgram {
  readonly kind: "clear";
}

/**
 * The largest size among gradients of one kind, over all strips so far: `at` among as many kinds as there are `of` for each head. f16 has a narrow
 * range: gradients are multiplied by the power of two that it asks for before they are rounded, the result is divided by it. A kernel that writes
 * gradients `records` theirs: what is larger than what stands there takes its place.
 */
export interface LargestEntry {
  readonly at: number;
  readonly of: number;
}

/** What of it tensor cores compute: maps stay f32, and are rounded to the storage type where they are multiplied. */
interface TensorGradient {
  readonly warps: number;
  /** That of a factor that is scaled; null where none is. */
  readonly scale: LargestEntry | null;
  readonly sharedBytes: number;
  /** Bytes of a row in shared memory. */
  readonly rowBytes: number;
}

/** Rows times keys or values, to a map: scores, or from rows of o's gradient that of the weights. */
export interface TensorPairsProgram extends TensorGradient {
  readonly kind: "tensor_pairs";
  readonly of: "k" | "v";
  /** Blocks of sixteen rows that a warp computes. */
  readonly rowBlocks: number;
  readonly tileK: number;
  /** Keys of a block, a few tiles. */
  readonly blockKeys: number;
  readonly records?: LargestEntry;
}

/** As `RowProductProgram`. */
export interface TensorRowProductProgram extends TensorGradient {
  readonly kind: "tensor_row_product";
  readonly of: "k" | "v";
  readonly rowBlocks: number;
  readonly tileK: number;
}

/** As `KeyProductProgram`: 32 keys a warp. */
export interface TensorKeyProductProgram extends TensorGradient {
  readonly kind: "tensor_key_product";
  readonly of: "k" | "v";
  /** Rows of a step. */
  readonly tileQ: number;
}

/** The largest entries of a strip's map, where the kernel that writes it does not record them; so many blocks share a head's rows. */
export interface TensorLargestProgram {
  readonly kind: "tensor_largest";
  readonly warps: number;
  readonly parts: number;
  readonly records: LargestEntry;
}

/** As `ConvGradientProgram`, of a convolution within heads: entries are scaled and rounded to f16. */
export interface TensorConvGradientProgram {
  readonly kind: "tensor_conv_gradient";
  readonly stage: StageIndex;
  /** That of the gradients. */
  readonly scale: LargestEntry;
  readonly warps: number;
  /** Blocks of sixteen rows that a warp takes. */
  readonly rowBlocks: number;
  /** Keys of a step, and of a workgroup. */
  readonly tileK: number;
  readonly blockKeys: number;
  /** Blocks of eight keys in reach to the left and to the right. */
  readonly granulesLeft: number;
  readonly granulesRight: number;
  readonly sharedBytes: number;
  /** Bytes of a row in shared memory. */
  readonly rowBytes: { readonly d: number; readonly source: number };
}

/**
 * A convolution within heads from one map to another, or what passes back through it, as products with banded matrices: entries are rounded to
 * f16, or to pairs of f16.
 */
export interface TensorConvProgram {
  readonly kind: "tensor_conv";
  readonly stage: StageIndex;
  readonly adjoint: boolean;
  /** `exact`: pairs that hold 22 bits, at three times the products. */
  readonly precision: "f16" | "exact";
  /** That of what passes back. */
  readonly scale: LargestEntry | null;
  readonly records?: LargestEntry;
  readonly warps: number;
  /** Keys of a step, and of a workgroup. */
  readonly tileK: number;
  readonly blockKeys: number;
  /** Blocks of eight keys in reach to the left and to the right. */
  readonly granulesLeft: number;
  readonly granulesRight: number;
  readonly sharedBytes: number;
  /** Bytes of a row in shared memory. */
  readonly rowBytes: number;
}

/** A mix of heads from one map to another, or what passes back through it: entries are rounded to f16, or to pairs of f16, as in `TensorConvProgram`. */
export interface TensorMapMixProgram {
  readonly kind: "tensor_map_mix";
  readonly stage: StageIndex;
  readonly adjoint: boolean;
  readonly precision: "f16" | "exact";
  readonly scale: LargestEntry | null;
  readonly records?: LargestEntry;
  readonly warps: number;
  /** Heads of a workgroup, whole groups of sixteen heads at most; its rows, and its keys. */
  readonly heads: number;
  readonly tileQ: number;
  readonly blockKeys: number;
}

/** As `MixGradientProgram`: entries are scaled and rounded to f16. */
export interface TensorMixGradientProgram {
  readonly kind: "tensor_mix_gradient";
  readonly stage: StageIndex;
  /** That of the gradients. */
  readonly scale: LargestEntry;
  readonly warps: number;
  /** Heads of a workgroup, and its keys. */
  readonly heads: number;
  readonly blockKeys: number;
}

/** Keys of a step of either convolution with those around them: whole pairs of blocks of eight. */
export function sourceKeys({
  tileK,
  granulesLeft,
  granulesRight,
}: Pick<TensorConvGradientProgram, "tileK" | "granulesLeft" | "granulesRight">): number {
  return tileK + 16 * Math.ceil((granulesLeft + granulesRight) / 2);
}

/** What tensor cores have a use for in a backward pass. */
export type TensorGradientProgram =
  | TensorPairsProgram
  | TensorRowProductProgram
  | TensorKeyProductProgram
  | TensorConvProgram
  | TensorConvGradientProgram
  | TensorMapMixProgram
  | TensorMixGradientProgram
  | TensorLargestProgram;

/** A kernel's work in a backward pass only. */
export type GradientProgram =
  | PointwiseProgram
  | NormalizeAdjointProgram
  | RowProductProgram
  | KeyProductProgram
  | ConvGradientProgram
  | MixGradientProgram
  | OutputAdjointProgram
  | BiasGradientProgram
  | SumProgram
  | ClearProgram
  | TensorGradientProgram;
