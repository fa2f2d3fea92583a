import type { Finish, StageIndex } from "./finish.ts";

/**
 * What one tensor-core kernel does, with every decision taken. Sizes count elements unless named otherwise. See
 * `templates/cuda/tensor`.
 */

/** A convolution lowered to products with banded Toeplitz matrices, whose fragments are the same at every block of keys. */
export interface ToeplitzConv {
  readonly stage: StageIndex;
  /** Blocks of eight keys in reach to the left and to the right. */
  readonly granulesLeft: number;
  readonly granulesRight: number;
  /** Where the fragments live. */
  readonly taps: "registers" | "shared";
  /** `f16`: scores and kernel rounded to f16. `exact`: pairs of f16 that hold 22 bits, at three times the products. */
  readonly precision: "f16" | "exact";
}

/**
 * What a strip's map holds. `map`: entries, as the next stage wants them. `scores`: final scores. `exponentials`: 2 to the power of final
 * scores beside about the highest of their row. Who reads the last two divides by what the row's softmax has left in `statistics`. A map is
 * defined where a row sees some key of a unit of eight, and nowhere else.
 */
export type MapSource = "map" | "scores" | "exponentials";

/**
 * What a row's scores are relative to where they are rounded to f16: a number of each row and head, so that what all its scores have in
 * common costs no accuracy. It is made of keys that the row sees; what convolutions and mixes make of it is kept in f32 beside the maps.
 */
export interface References {
  /** Made from queries and keys, or read with the map that is relative to them. */
  readonly source: "keys" | "map";
  /**
   * `keys`: blocks of sixteen keys whose means a tile's rows meet; one where all rows see the same first keys, none where anything may be hidden
   * and only single keys are sure to be seen.
   */
  readonly keyMeans: number;
  /**
   * Whether rows of final scores that are convolved go to a map relative to the highest of what the convolution makes of references: where the mask hides
   * some of its taps that may be far above all others.
   */
  readonly raised: boolean;
  /**
   * Whether pairs may be hidden anywhere, and not only outside of ranges of keys. Then a hidden score is 0 where a visible one never is, but -0:
   * from that follows, entry by entry, what convolutions and mixes make of references.
   */
  readonly marked: boolean;
}

/** What the scores that a mix reads are relative to: see `References`. */
export interface MixReferences {
  readonly marked: boolean;
  /** Whether a pair may be hidden in some heads only: then what the mix makes of references differs from key to key. */
  readonly apart: boolean;
}

/**
 * Which of the keys that a tile's rows see a kernel walks. `inner`: those around which all rows of the tile see all keys that
 * the scores' convolution reads. `border`: the others.
 */
export type TileKeys = "all" | "inner" | "border";

/**
 * A tile of scores, made or loaded, convolved, finished and handed on. `dot`: q · k; else a strip's map. `attention`: online softmax,
 * times v. `product`: scores are normalised with known statistics, convolved and multiplied with v.
 */
export interface TensorTileProgram {
  readonly kind: "tensor_tile";
  readonly source: "dot" | MapSource;
  readonly sink: "attention" | "statistics" | "product" | "map";
  /** Blocks of sixteen rows that a warp computes. */
  readonly rowBlocks: number;
  readonly warps: number;
  readonly tileK: number;
  /** Keys of the scores that are computed at a time. */
  readonly columns: number;
  readonly queriesInRegisters: boolean;
  readonly conv: ToeplitzConv | null;
  /** `dot`: the convolution that the keys hold already, one copy of them a kernel row (`TensorFoldProgram`). */
  readonly folded: StageIndex | null;
  readonly keys: TileKeys;
  /** Not `all`: keys by which inner ones stay clear of the first that the tile's first row does not see; they come in whole steps. */
  readonly inner: { readonly margin: number; readonly step: number };
  /** Whether no source right of the last key that a tile sees can matter: rows above see no more. */
  readonly sourcesEndWithKeys: boolean;
  /** Rows around the tile; multiples of eight where there is a `conv`. */
  readonly haloPast: number;
  readonly haloFuture: number;
  /** What scores are relative to that are convolved or go to a map; null where that is nothing. */
  readonly references: References | null;
  /** What happens to an entry before the convolution, and at the end. */
  readonly before: Finish;
  readonly finish: Finish;
  /** `map`: what is written, and the keys that one block writes. */
  readonly map: {
    /** Elements to which its rows are padded. */
    readonly alignment: number;
    readonly chunk: number;
    /** Whether final scores go there as exponentials, beside the highest of their row that `statistics` has. */
    readonly exponentials: boolean;
  } | null;
  readonly blocksPerSm: number;
  /** Whether products of sixteen rows are left out with keys that none of them sees. */
  readonly skips: boolean;
  /** `attention`: blocks may share a tile's keys where there are few rows; `TensorCombineProgram` puts their results together. */
  readonly splits: boolean;
  readonly sharedBytes: number;
  /** Bytes of a row in shared memory. */
  readonly rowBytes: { readonly keys: number; readonly values: number; readonly scores: number };
  /** Offsets into shared memory, in bytes; −1 for what the kernel has not. */
  readonly places: Readonly<Record<"k" | "v" | "q" | "halo" | "scores" | "taps" | "references", number>>;
}

/**
 * Convolves the keys themselves: copy `a` of key j is Σ_b θ[a, b] k_(j+b), so that a product of shifted queries with it sums a
 * whole row of the convolution's kernel.
 */
export interface TensorFoldProgram {
  readonly kind: "tensor_fold";
  readonly stage: StageIndex;
  /** Blocks of eight keys in reach to the left. */
  readonly granulesLeft: number;
  /** Blocks of sixteen source keys that sixteen results are made of. */
  readonly sourceSteps: number;
  /**
   * What keys have in common is taken off before: the mean of the first `keys` of them, which all rows see that read the copies, in whole units, and only
   * where it is at least `least`. It lies behind the copies.
   */
  readonly common: { readonly keys: number; readonly unit: number; readonly least: number };
  readonly warps: number;
  readonly sharedBytes: number;
  /** Bytes of a key in shared memory. */
  readonly rowBytes: number;
}

/** A head mix from one map to another: sixteen heads by sixteen heads a product, one row a warp. */
export interface TensorMixProgram {
  readonly kind: "tensor_mix";
  readonly stage: StageIndex;
  readonly source: MapSource;
  readonly finish: Finish;
  /** What the source is relative to, where it is a map of scores; the result is, too. */
  readonly references: MixReferences | null;
  /**
   * Where the mixed scores are the final ones, the kernel writes exponentials, and what the rows' softmax keeps. `sum`: products begin with
   * what exponents are relative to, and the mix takes their base in; `after`: scores are needed as they are.
   */
  readonly softmax: "sum" | "after" | null;
  readonly warps: number;
  readonly rowsPerWarp: number;
  /** Blocks of sixteen input heads that sixteen output heads read. */
  readonly inputChunks: number;
  readonly blocksPerSm: number;
}

/** Log-sum-exp of the rows of a map of final scores. */
export interface TensorStatisticsProgram {
  readonly kind: "tensor_statistics";
  readonly warps: number;
  /** Lanes of a warp that share a row. */
  readonly lanes: number;
}

/** o = A · v with the output stages, A from a map. */
export interface TensorProductProgram {
  readonly kind: "tensor_product";
  readonly source: MapSource;
  readonly rowBlocks: number;
  readonly warps: number;
  readonly tileK: number;
  readonly blocksPerSm: number;
  readonly sharedBytes: number;
  /** Bytes of a row of values in shared memory. */
  readonly rowBytes: number;
}

/** Combines the partial results of rows whose keys several blocks have shared, with the output stages; one row a warp. */
export interface TensorCombineProgram {
  readonly kind: "tensor_combine";
  readonly warps: number;
}

/** What a kernel on tensor cores does, as data. */
export type TensorProgram =
  | TensorCombineProgram
  | TensorTileProgram
  | TensorFoldProgram
  | TensorMixProgram
  | TensorStatisticsProgram
  | TensorProductProgram;
