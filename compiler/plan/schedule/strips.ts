import type {
  Expression,
  FusedProgram,
  KernelProgram,
  Pipeline,
  Plan,
  Reach,
  Step,
} from "../../../runtime/contract/index.ts";
import { EXPRESSIONS, visibilityOf } from "../../ir/index.ts";
import type { Kernel } from "../define.ts";
import { MOST_GRID } from "../limits.ts";
import type { Grid } from "../machine.ts";
import type { StripShape } from "../map-entries.ts";
import type { PlanOptions } from "../options.ts";
import { type Launch, loop } from "./passes.ts";

/** One kernel over the maps of a strip. */
export interface StripKernel<Program extends KernelProgram = Exclude<KernelProgram, FusedProgram>>
  extends Kernel<Program> {
  /** Rows around the strip that later stages read of its result. */
  readonly halo: Reach;
  readonly grid: Grid;
}

/** What decides how rows are cut into strips. */
export interface StripKnobs extends StripShape {
  /** False for the unfused baseline only: computes entries that no row sees, over one strip of all rows. */
  readonly skipDead: boolean;
  /** The fewest rows that a strip gains, and what its rows are a multiple of. */
  readonly leastRows: number;
  readonly multiple: number;
  /** Rows that a warp takes: strips that gain at least two such parts are whole ones, rather lower than with a part that is mostly idle. */
  readonly warpRows?: number;
}

/** The same strips, but as high and as large as options force them to be. */
export function forcedStrips(knobs: StripKnobs, options: PlanOptions = {}): StripKnobs {
  const { stripRows = knobs.stripRows, stripBytes = knobs.stripBytes } = options;
  return { ...knobs, stripRows, stripBytes, leastRows: options.stripRows ?? knobs.leastRows };
}

/** Columns to which the maps' rows are padded, so that every tile may write whole blocks. */
const MAP_COLUMNS = 64;

/** The first row that a kernel writes: the strip's or one of the halo that later stages read, as far as they exist. */
export function rowBegin(halo: Reach): Expression {
  return ["max", ["sub", 0, "R"], ["sub", "row", halo.past]];
}

/** The end of these rows. */
export function rowEnd(halo: Reach): Expression {
  return ["min", "Lq", ["add", ["min", "Lq", ["add", "row", "strip"]], halo.future]];
}

/** How many these are. */
export function rowsOf(halo: Reach): Expression {
  return ["sub", rowEnd(halo), rowBegin(halo)];
}

/** Names a value that depends on the enclosing loops: a loop of one round. */
function define(variable: string, value: Expression, body: readonly Step[]): Step {
  return loop(variable, value, ["add", value, 1], 1, body);
}

function floorTo(value: Expression, multiple: Expression): Expression {
  return ["mul", multiple, ["floorDiv", value, multiple]];
}

function ceilTo(value: Expression, multiple: Expression): Expression {
  return ["mul", multiple, ["ceilDiv", value, multiple]];
}

/** What is cut into strips, where it is not the call's own rows, two maps of which are alive at a time. */
export interface Cut {
  readonly maps: number;
  /** Rows of history that strips begin with. */
  readonly before: Expression;
}

const OWN_ROWS: Cut = { maps: 2, before: 0 };

/** Names of a plan that cuts its rows into strips: their height, the rows around them, the maps' strides. */
export function stripDefinitions(
  pipeline: Pipeline,
  knobs: StripKnobs,
  reach: Reach,
  { maps, before }: Cut = OWN_ROWS,
): Plan["definitions"] {
  const halo: Expression = ["add", "halo_past", "halo_future"];
  const columnBytes = maps * knobs.entryBytes * pipeline.heads;
  const rows: Expression = before === 0 ? "Lq" : ["add", "Lq", before];
  const allRows: Expression = ["add", rows, halo];
  const rowsThatFit: Expression = [
    "floorDiv",
    knobs.stripBytes,
    ["mul", columnBytes, "map_row_stride", "batch_step"],
  ];
  const fitting: Expression = ["min", knobs.stripRows, ["sub", rowsThatFit, halo]];
  const { warpRows, multiple } = knobs;
  const whole: Expression =
    warpRows === undefined
      ? multiple
      : ["select", ["max", 0, ["floorDiv", fitting, 2 * warpRows]], warpRows, multiple];
  // Entries, or their heads, lie along one axis of a grid.
  const mostEntries = Math.floor(MOST_GRID / pipeline.heads);
  return [
    // Rows around a strip that the convolutions read, as far as they can exist.
    { name: "halo_past", value: ["min", reach.past, ["add", "Lq", "R"]] },
    { name: "halo_future", value: ["min", reach.future, rows] },
    { name: "map_row_stride", value: ["mul", MAP_COLUMNS, ["ceilDiv", "Lk", MAP_COLUMNS]] },
    {
      name: "batch_step",
      // Several batch entries at a time where their whole maps fit.
      value: [
        "max",
        1,
        [
          "min",
          "B",
          mostEntries,
          ["floorDiv", knobs.stripBytes, ["mul", columnBytes, "map_row_stride", allRows]],
        ],
      ],
    },
    {
      name: "most_rows",
      value: ["max", knobs.leastRows, warpRows === undefined ? fitting : floorTo(fitting, whole)],
    },
    // Strips of equal height: a short last one would pay the halo for little.
    {
      name: "strip",
      value: knobs.skipDead
        ? ["min", rows, ceilTo(["ceilDiv", rows, ["ceilDiv", rows, "most_rows"]], whole)]
        : rows,
    },
    { name: "map_rows", value: ["add", "strip", halo] },
    { name: "map_head_stride", value: ["mul", "map_rows", "map_row_stride"] },
  ];
}

/** The steps of a plan over batch entries and strips. */
export function stripSteps(
  pipeline: Pipeline,
  reach: Reach,
  skipDead: boolean,
  body: readonly Step[],
  { before }: Cut = OWN_ROWS,
): readonly Step[] {
  const first: Expression = before === 0 ? 0 : ["sub", 0, before];
  return [
    loop("batch", 0, "B", "batch_step", [
      define(
        "batches",
        ["min", "batch_step", ["sub", "B", "batch"]],
        [loop("row", first, "Lq", "strip", keyRange(pipeline, reach, skipDead, body))],
      ),
    ]),
  ];
}

/** Names the keys that the strip's rows and halo can see: known before the call only where it gives no `positions`. */
function keyRange(pipeline: Pipeline, reach: Reach, skipDead: boolean, body: readonly Step[]): Step[] {
  // Rows of the strip and its halo, by their positions in a call that gives none.
  const position = (row: Expression): Expression => EXPRESSIONS.add(["sub", "Lk", "Lq"], row);
  const rows = {
    first: position(EXPRESSIONS.sub("row", reach.past)),
    last: position(["add", "row", "strip", reach.future - 1]),
  };
  const { low, high } = visibilityOf(skipDead ? pipeline.mask : [], EXPRESSIONS).keysOf(rows, "Lk");
  const known = (value: Expression, otherwise: Expression): Expression => [
    "select",
    "positions",
    otherwise,
    value,
  ];
  const aligned: Expression = ["mul", MAP_COLUMNS, ["floorDiv", known(low, 0), MAP_COLUMNS]];
  return [define("key_begin", aligned, [define("key_end", ["max", "key_begin", known(high, "Lk")], body)])];
}

const ENDED_BY_GRID: ReadonlySet<KernelProgram["kind"]> = new Set(["scores", "mix", "product"]);

/** Whether a kernel's columns end with its grid: it does not ask where the strip's keys end. A dropout fills tiles of another map. */
function isEndedByGrid(program: KernelProgram): boolean {
  return program.kind === "dropout" ? !program.inPlace : ENDED_BY_GRID.has(program.kind);
}

/** Kernels that write rows of o: the call's own. */
const PRODUCTS: ReadonlySet<KernelProgram["kind"]> = new Set(["product", "tensor_product"]);

/** The launch fields of a dispatch over a strip. */
export function stripLaunch({ program, halo }: StripKernel): Launch {
  return {
    batch: "batch",
    row_begin: PRODUCTS.has(program.kind) ? "row" : rowBegin(halo),
    row_end: rowEnd(halo),
    strip_row: ["sub", "row", "halo_past"],
    key_begin: "key_begin",
    ...(isEndedByGrid(program) ? {} : { key_end: "key_end" }),
    map_row_stride: "map_row_stride",
    map_head_stride: "map_head_stride",
  };
}
