import { type Expression, elementCount, type Pipeline, VALUES } from "../../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "../bindings.ts";
import { KEPT_VALUES } from "../keep-values.ts";
import { ceilTo } from "../layout.ts";
import type { Tile } from "../machine.ts";
import type { StagedTask } from "../schedule/staged-kernels.ts";
import type { StripKernel } from "../schedule/strips.ts";
import type { BackwardStep } from "./graph.ts";

/** What all kernels of a backward pass are made for. */
export interface BackwardTask extends StagedTask {
  readonly largest: Largest;
  /** Rows and keys of a workgroup of the kernels that write maps, where they have no tiles of their own. */
  readonly tile: Tile;
}

/** Gradients whose largest entries are recorded: f16 holds them scaled. */
export interface Largest {
  /** Kinds of gradients: each head has an entry of each. */
  readonly kinds: number;
  /** That of the rows of o's gradient; null where nothing asks for it. */
  readonly rows: number | null;
  /** Those of maps, by their numbers. */
  readonly maps: ReadonlyMap<number, number>;
  /** The steps after which a map is as it is multiplied. */
  readonly recorded: ReadonlyMap<BackwardStep, number>;
}

/** Nothing is recorded: f32 holds all gradients. */
export const NO_LARGEST: Largest = { kinds: 0, rows: null, maps: new Map(), recorded: new Map() };

/** One kernel of a backward pass over a strip, with the multiply-adds that it does for an entry of a map, over all heads. */
export interface BackwardKernel extends StripKernel {
  readonly multiplyAdds: number;
  /** What it leaves to be added up after it: parts, and how many each dispatch makes. */
  readonly sums?: readonly PartialSum[];
}

/** Parts of a parameter's gradient. */
export interface PartialSum {
  readonly parameter: string;
  /** The workspace buffer that holds them, one after the other. */
  readonly buffer: string;
  readonly at: number;
  readonly length: number;
  readonly pieces: Expression;
  /** Bytes of the largest number of parts. */
  readonly bytes: Expression;
}

/** The tile of such kernels where there is no other choice. */
export const TILE = { tileQ: 32, tileK: 32 } as const;

/** Invocations of kernels that are no maps'. */
export const WORKGROUP = 64;

/** Rows of the strip's maps: a name that plans of strips define. */
export const MAP_ROWS = "map_rows";

/** A buffer of rows of values that lie in the strip, in whole fours of channels. */
export function rowsBytes(pipeline: Pipeline): Expression {
  return ["mul", 4 * ceilTo(pipeline.valueDim, 4), "batch_step", pipeline.heads, MAP_ROWS];
}

/** What the output's stages are given: as the forward pass keeps it, where it did, and computed again where it did not. */
export const KEPT: BoundResource = { resource: VALUES.name, operand: KEPT_VALUES };
/** The gradient of that: rows in the strip. */
export const D_VALUES = mapOperand("d_values", "d_values", 4);

/** A buffer of f32, under the name that a kernel has for it. */
export function f32(resource: string, variable = resource): BoundResource {
  return mapOperand(resource, variable, 1);
}

/** A parameter among all of them. @throws RangeError where there is none of that name: a defect of the planner */
export function placed(pipeline: Pipeline, name: string): Pick<PartialSum, "parameter" | "at" | "length"> {
  let at = 0;
  for (const parameter of pipeline.parameters) {
    const length = elementCount(parameter.shape);
    if (parameter.name === name) return { parameter: name, at, length };
    at += length;
  }
  throw new RangeError(`the pipeline has no parameter "${name}"`);
}
