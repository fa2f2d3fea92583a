import type { Finish, Plan, TensorTileProgram, TileKeys } from "../../../runtime/contract/index.ts";
import type { ConvOp } from "../graph.ts";

/** What the planner may vary of a tile kernel. */
export interface TileKnobs {
  readonly rowBlocks: number;
  readonly tileK: number;
  readonly queriesInRegisters: boolean;
  readonly taps: "registers" | "shared";
  readonly precision: "f16" | "exact";
}

/** What a tile kernel has to do. */
export interface TileRequest {
  readonly source: TensorTileProgram["source"];
  readonly sink: TensorTileProgram["sink"];
  readonly conv: ConvOp | null;
  /** The convolution that the keys hold already. */
  readonly folded: ConvOp | null;
  readonly keys: TileKeys;
  readonly before: Finish;
  readonly finish: Finish;
  /** Keys that one block writes, where it writes a map. */
  readonly chunk: number;
  /** Whether it writes final scores as exponentials there: another kernel has found out about their rows. */
  readonly exponentials: boolean;
}

/** What most tile kernels do: nothing to scores of all keys. */
export const PLAIN_TILE = {
  source: "dot",
  conv: null,
  folded: null,
  keys: "all",
  before: { pointwise: [], mask: "zero" },
  finish: { pointwise: [], mask: "zero" },
  chunk: 0,
  exponentials: false,
} as const satisfies Omit<TileRequest, "sink">;

/** Row blocks and keys of a step, in the order of equals. */
const TILE_SIZES = [1, 2].flatMap((rowBlocks) => [64, 32].map((tileK) => ({ rowBlocks, tileK })));

/** Every tile size, with queries in both places or in shared memory only, and every way to convolve. */
export function tileMenu(
  queries: readonly boolean[],
  convolutions: readonly Pick<TileKnobs, "taps" | "precision">[],
): readonly TileKnobs[] {
  return TILE_SIZES.flatMap((size) =>
    queries.flatMap((queriesInRegisters) =>
      convolutions.map((convolution) => ({ ...size, queriesInRegisters, ...convolution })),
    ),
  );
}

/** Ways to convolve, the most frequent first. */
export const IN_REGISTERS = { taps: "registers", precision: "f16" } as const;
export const IN_SHARED_MEMORY = { taps: "shared", precision: "f16" } as const;
export const EXACTLY = { taps: "registers", precision: "exact" } as const;

/** Knobs as a spec's `tune` block names them: those of every lowering. */
export function tileKnobNames(knobs: TileKnobs, lowering: string): Plan["knobs"] {
  return {
    lowering,
    tile_q: 64 * knobs.rowBlocks,
    tile_k: knobs.tileK,
  };
}

/** The same of kernels that may keep their queries in registers. */
export function rowKnobNames(knobs: TileKnobs, lowering: string): Plan["knobs"] {
  return {
    ...tileKnobNames(knobs, lowering),
    queries: knobs.queriesInRegisters ? "registers" : "shared",
  };
}
