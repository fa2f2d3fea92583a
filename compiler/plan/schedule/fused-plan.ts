import {
  type Cost,
  type Expression,
  type FusedProgram,
  type Pipeline,
  type Plan,
  type Step,
  totalReach,
} from "../../../runtime/contract/index.ts";
import { MOST_GRID } from "../batch-rounds.ts";
import { definePlan } from "../define.ts";
import { kernelPlan, type ScalarKernel } from "../kernel.ts";
import { statisticsBuffer } from "../layout.ts";
import type { PlanRequest, Tile } from "../machine.ts";
import type { Prediction } from "../predict.ts";

/** Knobs of one fused kernel. */
export interface FusedKnobs extends Tile {
  readonly workgroup: number;
}

/** One fused kernel that fits a machine. */
export interface FusedKernel extends ScalarKernel<FusedProgram> {
  readonly knobs: FusedKnobs;
  readonly prediction: Prediction;
}

/** One kernel over all rows, from `rowBegin` on. */
interface Pass {
  readonly kernel: FusedKernel;
  readonly rowBegin: Expression;
  /** Rows of history whose statistics are kept; null where none are. */
  readonly history: Expression | null;
}

export function singlePassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: Plan["knobs"],
  kernel: FusedKernel,
): Plan {
  return definePlan(pipeline, request, {
    schedule: "single_pass",
    knobs,
    definitions: [],
    workspace: [],
    kernels: [kernelPlan(request.machine, pipeline, kernel)],
    steps: passSteps(pipeline, request, [{ kernel, rowBegin: 0, history: null }]),
    cost: kernel.prediction.cost,
  });
}

export function twoPassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: Plan["knobs"],
  { statistics, apply }: { readonly statistics: FusedKernel; readonly apply: FusedKernel },
  cost: Cost,
): Plan {
  const history: Expression = "weight_history";
  return definePlan(pipeline, request, {
    schedule: "two_pass",
    knobs,
    // Rows of history whose softmax the weights' convolutions read.
    definitions: [{ name: history, value: ["min", "R", totalReach(pipeline.weights).past] }],
    workspace: [statisticsBuffer(pipeline, history)],
    kernels: [statistics, apply].map((kernel) => kernelPlan(request.machine, pipeline, kernel)),
    steps: passSteps(pipeline, request, [
      { kernel: statistics, rowBegin: ["sub", 0, history], history },
      { kernel: apply, rowBegin: 0, history },
    ]),
    cost,
  });
}

/** Passes over all batch entries and row tiles, one after the other, in dispatches as the machine wants them. */
function passSteps(pipeline: Pipeline, request: PlanRequest, passes: readonly Pass[]): readonly Step[] {
  const { dispatches } = request.machine;
  if (dispatches.kind === "cut") {
    const budget = request.options?.dispatchBudget ?? dispatches.multiplyAdds;
    return passes.map((pass) => cutPass(pipeline, request, pass, budget));
  }
  const batches: Expression = ["min", dispatches.batches, ["sub", "B", "batch"]];
  return [
    loop("batch", "B", dispatches.batches, [
      ...passes.map((pass) => passDispatch(pipeline, request, pass, { count: tilesOf(pass), batches })),
    ]),
  ];
}

function loop(variable: string, to: Expression, by: Expression, body: readonly Step[]): Step {
  return { kind: "loop", variable, from: 0, to, by, body };
}

function tilesOf({ kernel, rowBegin }: Pass): Expression {
  return ["ceilDiv", ["sub", "Lq", rowBegin], kernel.knobs.tileQ];
}

/** Work of one row tile of all heads: measured on the nominal shape, grown with Lk. */
function tileWork({ kernel }: Pass, { shape }: PlanRequest): Expression {
  const nominalTiles = Math.max(1, Math.ceil(shape.Lq / kernel.knobs.tileQ)) * shape.B;
  const { multiplyAdds } = kernel.prediction.cost;
  return ["mul", Math.max(1, Math.ceil((2 * multiplyAdds) / nominalTiles / Math.max(1, shape.Lk))), "Lk"];
}

/** Dispatches of batch entries and row tiles, so few that none does more multiply-adds than the budget at the request's shape. */
function cutPass(pipeline: Pipeline, request: PlanRequest, pass: Pass, budget: number): Step {
  const tiles = tilesOf(pass);
  const perTile = tileWork(pass, request);
  const within = (work: Expression): Expression => ["floorDiv", budget, ["max", 1, work]];
  const batchStep: Expression = ["max", 1, ["min", "B", MOST_GRID, within(["mul", perTile, tiles])]];
  const tileStep: Expression = ["max", 1, ["min", MOST_GRID, within(["mul", perTile, batchStep])]];
  return loop("batch", "B", batchStep, [
    loop("tile", tiles, tileStep, [
      passDispatch(pipeline, request, pass, {
        first: "tile",
        count: ["min", tileStep, ["sub", tiles, "tile"]],
        batches: ["min", batchStep, ["sub", "B", "batch"]],
      }),
    ]),
  ]);
}

function passDispatch(
  pipeline: Pipeline,
  request: PlanRequest,
  pass: Pass,
  part: { readonly first?: Expression; readonly count: Expression; readonly batches: Expression },
): Step {
  const { kernel, rowBegin, history } = pass;
  return {
    kind: "dispatch",
    kernel: kernel.name,
    grid: [part.count, pipeline.heads / kernel.program.headBlock, part.batches],
    launch: {
      batch: "batch",
      ...(part.first === undefined ? {} : { first_tile: part.first }),
      row_begin: rowBegin,
      row_end: "Lq",
      ...(history === null ? {} : { statistics_history: history }),
    },
    multiplyAdds: ["mul", tileWork(pass, request), part.count, part.batches],
  };
}
