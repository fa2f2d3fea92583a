import type { Finish, TensorTileProgram, TileKeys } from "../../../runtime/contract/index.ts";
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
}
