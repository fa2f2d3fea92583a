import type { Finish, StageIndex } from "./finish.ts";
import type { GradientProgram } from "./gradient-program.ts";
import type { TensorProgram } from "./tensor-program.ts";

/**
 * What one kernel does, with every decision taken: the planner writes these, emitters turn them into constants and text,
 * launchers ignore them. All sizes count elements (f32 words) unless named otherwise.
 */

/** A block of map entries in workgroup memory: [heads][rows][columns] of the tile, halo included. */
export interface Region {
  readonly name: string;
  /** First word in the workgroup's arena. */
  readonly offset: number;
  /** Rows held, a multiple of 4; its first row is `above` rows before the tile's first row. */
  readonly rows: number;
  readonly above: number;
  /** Columns kept from earlier steps (the left and right reach of the convolution that reads them). */
  readonly carry: number;
  /** Words between two rows. */
  readonly rowStride: number;
  /** Words between two heads. */
  readonly headStride: number;
  /** Keys by which the region's new columns trail those of the raw scores (right reaches so far). */
  readonly lag: number;
}

/** A step of a fused kernel on a tile of maps: the product q·kᵀ, a convolution, or a mix. */
export type ChainStep =
  | { readonly kind: "dot"; readonly to: number; readonly finish: Finish }
  | {
      readonly kind: "conv";
      readonly stage: StageIndex;
      readonly from: number;
      readonly to: number;
      readonly finish: Finish;
    }
  | { readonly kind: "mix"; readonly stage: StageIndex; readonly in: number; readonly finish: Finish };

/**
 * How the normalisation, gate and store of the output are spread over the workgroup. `direct`: no stages. `rows`: results stay
 * in registers and only sums over rows go through workgroup memory. `staged`: whole rows do, some at a time, for a gate
 * that reads all channels or where the sums do not fit.
 */
export interface Epilogue {
  readonly mode: "direct" | "rows" | "staged";
  /** Rows of output staged in workgroup memory at a time. */
  readonly chunkRows: number;
  /** Invocations that share a staged row. */
  readonly team: number;
  /** First word of the staged rows, and of the second copy that `gate channel` needs. */
  readonly stageAt: number;
  readonly secondAt: number;
  /** First word of the partial sums. */
  readonly partialsAt: number;
  /** `rows`: first word of the rows' factors. */
  readonly factorsAt: number;
}

/** Walks along the keys with all stages in workgroup memory; see `kernels.md`, "Do not recompute the key halo". */
export interface FusedProgram {
  readonly kind: "fused";
  readonly role: "single_pass" | "statistics" | "apply";
  /** Heads that one workgroup computes: all those that some stage mixes. */
  readonly headBlock: number;
  readonly tileQ: number;
  readonly tileK: number;
  /** Keys that the chain reads to the left of those that it finishes. */
  readonly reachLeft: number;
  readonly regions: readonly Region[];
  readonly chain: readonly ChainStep[];
  /** Region that holds the final weights or, before the softmax, the final scores. */
  readonly final: number;
  /** Invocations that share a row of the softmax (roles other than `apply`). */
  readonly team: number;
  /** First words of the per-row factors, the softmax's partial results and (`apply`) the row statistics. */
  readonly factorsAt: number;
  readonly partialsAt: number;
  readonly statisticsAt: number;
  /** Region whose rows the statistics follow (`apply`), or −1. */
  readonly statisticsRegion: number;
  /** 4x4 blocks of output that one invocation keeps in registers. */
  readonly outputBlocks: number;
  readonly epilogue: Epilogue;
  readonly arenaWords: number;
  /** Whether workgroups may share a tile's keys: then each leaves a part of the results. */
  readonly splits: boolean;
  /** Steps before a part's own whose scores its convolutions read. */
  readonly stepsBefore: number;
}

/** Adds up the results of workgroups that have shared keys, then the output's stages. */
export interface CombineProgram {
  readonly kind: "combine";
  readonly tileQ: number;
  readonly outputBlocks: number;
  readonly epilogue: Epilogue;
  readonly arenaWords: number;
}

/** Drops weights of a strip's map, or what passes back to them, by the words of their places. */
export interface DropoutProgram {
  readonly kind: "dropout";
  readonly stage: StageIndex;
  /** Whether what passes back is dropped. */
  readonly adjoint: boolean;
  /** Whether the map is changed in place; else it stays, and another one is written. */
  readonly inPlace: boolean;
  readonly tileQ: number;
  readonly tileK: number;
}

/** Scores of a strip: map[head][row][key] = finish(scale · q·k). Of values: rows of o's gradient times v, in a backward pass. */
export interface ScoresProgram {
  readonly kind: "scores";
  readonly of?: "values";
  readonly tileQ: number;
  readonly tileK: number;
  readonly finish: Finish;
  readonly skipDead: boolean;
}

/** A convolution from one map to another. `workgroup` stages the tile with its halo, `storage` reads the map directly. */
export interface ConvProgram {
  readonly kind: "conv";
  readonly stage: StageIndex;
  /** Set where gradients pass back: the taps then stand the other way round, and read the heads that a head has gone to. */
  readonly adjoint?: true;
  readonly source: "workgroup" | "storage";
  readonly tileQ: number;
  readonly tileK: number;
  /** The staged tile: rows, columns and words of a row; the columns begin `haloLeft` keys before the tile's first. */
  readonly haloRows: number;
  readonly haloColumns: number;
  readonly haloLeft: number;
  readonly rowStride: number;
  /** Rows whose documents are kept beside the tile. */
  readonly documentRows: number;
  readonly finish: Finish;
  readonly skipDead: boolean;
  readonly arenaWords: number;
}

/** A head mix from one map to another. */
export interface MixProgram {
  readonly kind: "mix";
  readonly stage: StageIndex;
  /** Set where gradients pass back: the weights are then read transposed. */
  readonly adjoint?: true;
  readonly tileQ: number;
  readonly tileK: number;
  readonly finish: Finish;
  /** Output heads that one invocation computes; a divisor of the group. */
  readonly outputs: number;
  readonly skipDead: boolean;
}

/** Softmax or sparsemax of the strip's rows, in place. */
export interface NormalizeProgram {
  readonly kind: "normalize";
  /** Invocations that share a row. */
  readonly team: number;
  /** False where nobody asks for the log-sum-exp. */
  readonly keepsLse?: false;
  readonly skipDead: boolean;
  readonly arenaWords: number;
}

/** o = A · v with the output stages. */
export interface ProductProgram {
  readonly kind: "product";
  readonly tileQ: number;
  readonly outputBlocks: number;
  readonly epilogue: Epilogue;
  readonly skipDead: boolean;
  readonly arenaWords: number;
}

/** A whole attention, computed strip by strip by a library that takes what to compute as data (`templates/c`). */
export interface LibraryProgram {
  readonly kind: "library";
  /** Rows of a strip, and keys of a block. */
  readonly strip: number;
  readonly block: number;
}

/** What a kernel does, as data. */
export type KernelProgram =
  | DropoutProgram
  | LibraryProgram
  | FusedProgram
  | CombineProgram
  | ScoresProgram
  | ConvProgram
  | MixProgram
  | NormalizeProgram
  | ProductProgram
  | GradientProgram
  | TensorProgram;
