import {
  type Cost,
  type DispatchField,
  type Expression,
  hasMask,
  type KernelProgram,
  type Pipeline,
  type Plan,
  type Reach,
  type Step,
  totalReach,
} from "../../runtime/contract/index.ts";
import { MOST_GRID } from "./batch-rounds.ts";
import { bind } from "./bindings.ts";
import { addCosts, stagedCost } from "./cost.ts";
import { definePlan } from "./define.ts";
import type { Fitted } from "./fit.ts";
import type { UnlaunchedKernel } from "./launch-fields.ts";
import type { PlanRequest } from "./machine.ts";
import { rowBegin, rowEnd, type StagedKernel, type StagedKnobs, stagedKernels } from "./staged-kernels.ts";
import type { KernelWork } from "./work.ts";

export const STAGED_TILES = [
  { tileQ: 32, tileK: 32 },
  { tileQ: 16, tileK: 64 },
  { tileQ: 16, tileK: 32 },
  { tileQ: 64, tileK: 64 },
] as const;
export const PRODUCT_TILES = [8, 16, 32] as const;
export const PRODUCT_WORKGROUPS = [64, 128, 256] as const;
/** Rows of a strip at most: low strips skip more of a causal mask, high ones pay for fewer halos. */
export const STRIP_ROWS = [64, 128, 256] as const;
/** Both maps of a strip: 10 MiB stay in the last-level cache of most GPUs. */
export const STRIP_BYTES = 10 * 2 ** 20;

/** Columns to which the maps' rows are padded, so that every tile may write whole blocks. */
const MAP_COLUMNS = 64;
/** The fewest rows that a strip gains: with fewer the halo would cost more than the strip. */
const LEAST_STRIP_ROWS = 16;

/** The staged schedule with given knobs: its predicted cost, and its plan when asked for. */
export interface StagedChoice {
  readonly cost: Cost;
  readonly work: readonly KernelWork[];
  plan(): Plan;
}

/** Strips of query rows, one kernel a stage, maps of a strip in two buffers that take turns. */
export function fitStaged(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: StagedKnobs,
): Fitted<StagedChoice> {
  const kernels = stagedKernels(pipeline, request, knobs);
  if (!kernels.fits) return kernels;
  const counted = kernels.value.map((kernel) => ({
    name: kernel.name,
    ...stagedCost(pipeline, kernel, request.shape, knobs),
  }));
  const costs = counted.map(({ cost }) => cost);
  return {
    fits: true,
    value: {
      cost: addCosts(costs),
      work: counted.map(({ name, counts }) => ({ kernel: name, ...counts })),
      plan: () => writePlan(pipeline, request, knobs, { kernels: kernels.value, costs }),
    },
  };
}

function writePlan(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: StagedKnobs,
  { kernels, costs }: { kernels: readonly StagedKernel[]; costs: readonly Cost[] },
): Plan {
  const reach = totalReach([...pipeline.scores, ...pipeline.weights]);
  const body: Step[] = kernels.map((kernel, index) => ({
    kind: "dispatch",
    kernel: kernel.name,
    grid: kernel.grid,
    launch: stripLaunch(kernel),
    multiplyAdds: [
      "mul",
      "batches",
      workPerEntry(costs[index]?.multiplyAdds ?? 0, request),
      ["sub", "key_end", "key_begin"],
      "strip",
    ],
  }));
  return definePlan(pipeline, request, {
    schedule: "staged",
    knobs: stagedKnobNames(knobs),
    definitions: stripDefinitions(
      pipeline,
      { ...knobs, entryBytes: 4, leastRows: LEAST_STRIP_ROWS, multiple: 4 },
      reach,
    ),
    workspace: mapsOf(kernels).map((name) => ({
      name,
      bytes: ["mul", 4, "batch_step", pipeline.heads, "map_head_stride"],
    })),
    kernels: kernels.map((kernel) => kernelPlan(pipeline, kernel)),
    steps: stripSteps(pipeline, reach, knobs.skipDead, body),
    cost: addCosts(costs),
  });
}

/** The maps that kernels write, in the order in which they need them. */
export function mapsOf(kernels: readonly Pick<StagedKernel, "written">[]): string[] {
  const written = kernels.flatMap((kernel) => kernel.written);
  return [...new Set(written.flatMap((each) => (typeof each === "object" ? [each.resource] : [])))];
}

/** The plan of the staged schedule with given knobs. */
export function stagedPlan(pipeline: Pipeline, request: PlanRequest, knobs: StagedKnobs): Fitted<Plan> {
  const fitted = fitStaged(pipeline, request, knobs);
  return fitted.fits ? { fits: true, value: fitted.value.plan() } : fitted;
}

/** The knobs as a spec's `tune` block names them. */
export function stagedKnobNames(knobs: StagedKnobs): Plan["knobs"] {
  return {
    tile_q: knobs.tileQ,
    tile_k: knobs.tileK,
    product_tile_q: knobs.productTileQ,
    product_workgroup: knobs.productWorkgroup,
    strip_rows: knobs.stripRows,
  };
}

function loop(
  variable: string,
  from: Expression,
  to: Expression,
  by: Expression,
  body: readonly Step[],
): Step {
  return { kind: "loop", variable, from, to, by, body };
}

/** Names a value that depends on the enclosing loops: a loop of one round. */
function define(variable: string, value: Expression, body: readonly Step[]): Step {
  return loop(variable, value, ["add", value, 1], 1, body);
}

function workPerEntry(multiplyAdds: number, request: PlanRequest): number {
  const { B, Lq, Lk } = request.shape;
  return Math.max(1, Math.ceil((2 * multiplyAdds) / Math.max(1, B * Lq * Lk)));
}

function ceilTo(value: Expression, multiple: number): Expression {
  return ["mul", multiple, ["ceilDiv", value, multiple]];
}

/** What decides how rows are cut into strips. */
export interface StripKnobs extends Pick<StagedKnobs, "stripRows" | "stripBytes" | "skipDead"> {
  /** Bytes of an entry of a map. */
  readonly entryBytes: number;
  /** The fewest rows that a strip gains, and what its rows are a multiple of. */
  readonly leastRows: number;
  readonly multiple: number;
}

/** Names of a plan that cuts its rows into strips: their height, the rows around them, the maps' strides. */
export function stripDefinitions(pipeline: Pipeline, knobs: StripKnobs, reach: Reach): Plan["definitions"] {
  const halo: Expression = ["add", "halo_past", "halo_future"];
  const columnBytes = 2 * knobs.entryBytes * pipeline.heads;
  const allRows: Expression = ["add", "Lq", halo];
  const rowsThatFit: Expression = [
    "floorDiv",
    knobs.stripBytes,
    ["mul", columnBytes, "map_row_stride", "batch_step"],
  ];
  // Entries, or their heads, lie along one axis of a grid.
  const mostEntries = Math.floor(MOST_GRID / pipeline.heads);
  return [
    // Rows around a strip that the convolutions read, as far as they can exist.
    { name: "halo_past", value: ["min", reach.past, ["add", "Lq", "R"]] },
    { name: "halo_future", value: ["min", reach.future, "Lq"] },
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
      value: ["max", knobs.leastRows, ["min", knobs.stripRows, ["sub", rowsThatFit, halo]]],
    },
    // Strips of equal height: a short last one would pay the halo for little.
    {
      name: "strip",
      value: knobs.skipDead
        ? ["min", "Lq", ceilTo(["ceilDiv", "Lq", ["ceilDiv", "Lq", "most_rows"]], knobs.multiple)]
        : "Lq",
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
): readonly Step[] {
  return [
    loop("batch", 0, "B", "batch_step", [
      define(
        "batches",
        ["min", "batch_step", ["sub", "B", "batch"]],
        [loop("row", 0, "Lq", "strip", keyRange(pipeline, reach, skipDead, body))],
      ),
    ]),
  ];
}

/** Names the keys that the strip's rows and halo can see: known before the call only where it gives no `positions`. */
function keyRange(pipeline: Pipeline, reach: Reach, skipDead: boolean, body: readonly Step[]): Step[] {
  const firstPosition: Expression = ["sub", "Lk", "Lq"];
  const window = pipeline.mask.find((term) => term.kind === "window");
  const end: Expression[] = ["Lk"];
  let begin: Expression = 0;
  if (skipDead) {
    const afterLast: Expression = ["add", firstPosition, "row", "strip", reach.future];
    if (hasMask(pipeline, "causal")) end.push(afterLast);
    if (window !== undefined) {
      end.push(["add", afterLast, window.size - 1]);
      begin = ["max", 0, ["add", firstPosition, "row", 1 - reach.past - window.size]];
    }
  }
  const known = (value: Expression, otherwise: Expression): Expression => [
    "select",
    "positions",
    otherwise,
    value,
  ];
  const aligned: Expression = ["mul", MAP_COLUMNS, ["floorDiv", known(begin, 0), MAP_COLUMNS]];
  return [
    define("key_begin", aligned, [
      define("key_end", ["max", "key_begin", known(["min", ...end], "Lk")], body),
    ]),
  ];
}

function stripLaunch(kernel: StagedKernel): Partial<Record<DispatchField, Expression>> {
  return rowsLaunch(
    kernel.program.kind,
    kernel.program.kind === "product" ? "row" : rowBegin(kernel.halo),
    rowEnd(kernel.halo),
  );
}

/** Kernels whose columns end with their grid: they do not ask where the strip's keys end. */
const ENDED_BY_GRID: ReadonlySet<KernelProgram["kind"]> = new Set(["scores", "mix", "product"]);

/** The launch fields of a dispatch over some of a strip's rows. */
export function rowsLaunch(
  kind: KernelProgram["kind"],
  begin: Expression,
  end: Expression,
): Partial<Record<DispatchField, Expression>> {
  return {
    batch: "batch",
    row_begin: begin,
    row_end: end,
    strip_row: ["sub", "row", "halo_past"],
    key_begin: "key_begin",
    ...(ENDED_BY_GRID.has(kind) ? {} : { key_end: "key_end" }),
    map_row_stride: "map_row_stride",
    map_head_stride: "map_head_stride",
  };
}

function kernelPlan(pipeline: Pipeline, kernel: StagedKernel): UnlaunchedKernel {
  return {
    name: kernel.name,
    file: `${pipeline.name}.${kernel.name}.wgsl`,
    entryPoint: "main",
    workgroupSize: kernel.workgroup,
    workgroupBytes: kernel.workgroupBytes,
    bindings: bind(pipeline, kernel.read, kernel.written),
    overrides: kernel.usesHistory ? { HISTORY: ["min", "R", 1] } : {},
    source: kernel.source,
    program: kernel.program,
  };
}
