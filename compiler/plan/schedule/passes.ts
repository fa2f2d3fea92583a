import type { DispatchField, Expression, Pipeline, Step } from "../../../runtime/contract/index.ts";
import type { Choice } from "../candidate.ts";
import type { Kernel, PlanParts } from "../define.ts";
import { graphOf } from "../graph.ts";
import { STATISTIC_WORDS } from "../layout.ts";
import { MOST_GRID } from "../limits.ts";
import type { GpuTask } from "../machine.ts";
import type { Predicted } from "../predict.ts";
import { multiplyAddsOf } from "../work.ts";

/** Launch fields of a dispatch. */
export type Launch = Readonly<Partial<Record<DispatchField, Expression>>>;

/** A kernel whose blocks each take a tile of the call's rows, of some heads of one batch entry. */
export interface RowKernel extends Kernel {
  readonly tileRows: number;
  /** Blocks along the heads. */
  readonly headBlocks: number;
}

/** One kernel over all rows, batch entries and heads. */
export interface Pass {
  readonly kernel: RowKernel;
  readonly rows: Expression;
  /** Blocks that take a tile together, where not one has it. */
  readonly sharing?: Expression;
  readonly launch: Launch;
  /** Over the whole call at the request's shape. */
  readonly multiplyAdds: number;
}

/** The launch fields of a pass over the call's own rows. */
export const ROWS: Launch = { row_begin: 0, row_end: "Lq" };

/** The pass of a kernel over the call's own rows. */
export function rowPass({ kernel, work }: Predicted<RowKernel>, launch: Launch = ROWS): Pass {
  return { kernel, rows: "Lq", launch, multiplyAdds: multiplyAddsOf(work) };
}

/** A plan that is nothing but passes, one after the other. */
export interface PassParts extends Pick<PlanParts, "definitions" | "workspace"> {
  readonly passes: readonly Pass[];
}

/** Kernels that make a plan of passes, which is written when somebody asks for it. */
export function passChoice(task: GpuTask, kernels: readonly Predicted[], write: () => PassParts): Choice {
  return {
    kernels,
    write() {
      const { passes, ...parts } = write();
      return { ...parts, kernels: passes.map(({ kernel }) => kernel), steps: passSteps(task, passes) };
    },
  };
}

/** One kernel over the call's rows that does everything. */
export function singlePass(task: GpuTask, kernel: Predicted<RowKernel>): Choice {
  return passChoice(task, [kernel], () => ({ definitions: [], workspace: [], passes: [rowPass(kernel)] }));
}

/** Rows of history whose softmax the weights' convolutions read: a name that plans define which keep statistics. */
export const WEIGHT_HISTORY = "weight_history";

/** What a plan takes to keep the statistics of the call's rows and of those before them. */
export function keptStatistics(pipeline: Pipeline): Pick<PlanParts, "definitions" | "workspace"> {
  const rows: Expression = ["add", WEIGHT_HISTORY, "Lq"];
  return {
    definitions: [{ name: WEIGHT_HISTORY, value: ["min", "R", graphOf(pipeline).normalize.halo.past] }],
    workspace: [{ name: "statistics", bytes: ["mul", 4 * STATISTIC_WORDS, "B", pipeline.heads, rows] }],
  };
}

/** Statistics of all rows first, those of the history included; then the weights, and their product with v. */
export function twoPass(
  task: GpuTask,
  statistics: Predicted<RowKernel>,
  apply: Predicted<RowKernel>,
): Choice {
  const history = { statistics_history: WEIGHT_HISTORY };
  return passChoice(task, [statistics, apply], () => ({
    ...keptStatistics(task.pipeline),
    passes: [
      {
        ...rowPass(statistics, { ...ROWS, row_begin: ["sub", 0, WEIGHT_HISTORY], ...history }),
        rows: ["add", "Lq", WEIGHT_HISTORY],
      },
      rowPass(apply, { ...ROWS, ...history }),
    ],
  }));
}

/** A step that repeats others for each value of a variable. */
export function loop(
  variable: string,
  from: Expression,
  to: Expression,
  by: Expression,
  body: readonly Step[],
): Step {
  return { kind: "loop", variable, from, to, by, body };
}

/** Passes over all batch entries and row tiles, one after the other, in dispatches as the machine wants them. */
function passSteps(task: GpuTask, passes: readonly Pass[]): readonly Step[] {
  const { dispatches } = task.machine;
  if (dispatches.kind === "cut") {
    const budget = task.options?.dispatchBudget ?? dispatches.multiplyAdds;
    return passes.map((pass) => (pass.multiplyAdds === 0 ? briefPass(pass) : cutPass(task, pass, budget)));
  }
  // Batch entries lie along a grid's z: more of them than it holds take several rounds.
  const batches: Expression = ["min", dispatches.batches, ["sub", "B", "batch"]];
  const round = passes.map((pass) =>
    passDispatch(pass, tileWork(pass, task), { count: tilesOf(pass), batches }),
  );
  return [loop("batch", 0, "B", dispatches.batches, round)];
}

function tilesOf({ kernel, rows, sharing }: Pass): Expression {
  const tiles: Expression = ["ceilDiv", rows, kernel.tileRows];
  return sharing === undefined ? tiles : ["mul", tiles, sharing];
}

/** Work of one row tile of all heads: measured on the nominal shape, grown with Lk. */
function tileWork({ kernel, multiplyAdds }: Pass, { shape }: GpuTask): Expression {
  const nominalTiles = Math.max(1, Math.ceil(shape.Lq / kernel.tileRows)) * shape.B;
  return ["mul", Math.max(1, Math.ceil((2 * multiplyAdds) / nominalTiles / Math.max(1, shape.Lk))), "Lk"];
}

/** Dispatches that nobody has to cut. */
function briefPass(pass: Pass): Step {
  const batches: Expression = ["min", MOST_GRID, ["sub", "B", "batch"]];
  return loop("batch", 0, "B", MOST_GRID, [passDispatch(pass, 0, { count: tilesOf(pass), batches })]);
}

/** Dispatches of batch entries and row tiles, so few that none does more multiply-adds than the budget at the request's shape. */
function cutPass(task: GpuTask, pass: Pass, budget: number): Step {
  const tiles = tilesOf(pass);
  const whole = tileWork(pass, task);
  const perTile: Expression = pass.sharing === undefined ? whole : ["ceilDiv", whole, pass.sharing];
  const within = (work: Expression): Expression => ["floorDiv", budget, ["max", 1, work]];
  const batchStep: Expression = ["max", 1, ["min", "B", MOST_GRID, within(["mul", perTile, tiles])]];
  const tileStep: Expression = ["max", 1, ["min", MOST_GRID, within(["mul", perTile, batchStep])]];
  const part = {
    first: "tile",
    count: ["min", tileStep, ["sub", tiles, "tile"]],
    batches: ["min", batchStep, ["sub", "B", "batch"]],
  } as const;
  return loop("batch", 0, "B", batchStep, [
    loop("tile", 0, tiles, tileStep, [passDispatch(pass, perTile, part)]),
  ]);
}

function passDispatch(
  { kernel, launch }: Pass,
  perTile: Expression,
  part: { readonly first?: Expression; readonly count: Expression; readonly batches: Expression },
): Step {
  return {
    kind: "dispatch",
    kernel: kernel.name,
    grid: [part.count, kernel.headBlocks, part.batches],
    launch: { batch: "batch", ...(part.first === undefined ? {} : { first_tile: part.first }), ...launch },
    multiplyAdds: ["mul", perTile, part.count, part.batches],
  };
}
