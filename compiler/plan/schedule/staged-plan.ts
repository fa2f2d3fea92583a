import type { Expression, Step } from "../../../runtime/contract/index.ts";
import type { Choice } from "../candidate.ts";
import type { PlanParts } from "../define.ts";
import { graphOf, mapSlots, type Op } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import type { Predicted } from "../predict.ts";
import { multiplyAddsOf } from "../work.ts";
import { keptStatistics, WEIGHT_HISTORY } from "./passes.ts";
import { type StripKernel, type StripKnobs, stripDefinitions, stripLaunch, stripSteps } from "./strips.ts";

/** An operation with the buffers of the maps that it reads and writes; the dot reads none, and the product writes none. */
export interface RoutedOp {
  readonly op: Op;
  readonly from: string;
  readonly to: string;
}

/** Gives the maps between operations their buffers, where each operation is a kernel of its own. */
export function routeMaps(ops: readonly Op[]): readonly RoutedOp[] {
  let map = 0;
  const uses = ops.map((op) => {
    const reads = map;
    if (op.kind === "conv" || op.kind === "mix") map += 1;
    return { op, reads, writes: map };
  });
  const slots = mapSlots(uses.map(({ reads, writes }) => ({ reads: [reads], writes })));
  const slot = (number: number): string => slots.get(number) ?? "";
  return uses.map(({ op, reads, writes }) => ({ op, from: slot(reads), to: slot(writes) }));
}

/** One kernel for each operation, over the strips of a call, which make a plan together. */
export function stagedChoice(
  task: GpuTask,
  routes: readonly RoutedOp[],
  strips: StripKnobs,
  kernels: readonly Predicted<StripKernel>[],
): Choice {
  return { kernels, write: () => stagedParts(task, routes, strips, kernels) };
}

function stagedParts(
  task: GpuTask,
  routes: readonly RoutedOp[],
  strips: StripKnobs,
  kernels: readonly Predicted<StripKernel>[],
): PlanParts {
  const { pipeline } = task;
  const { reach } = graphOf(pipeline);
  // Statistics are kept where one kernel leaves them to others.
  const keeps = kernels.some(({ kernel }) => kernel.written.includes("statistics"));
  const kept = keeps ? keptStatistics(pipeline) : { definitions: [], workspace: [] };
  const history = keeps ? { statistics_history: WEIGHT_HISTORY } : {};
  const maps = [...new Set(routes.map(({ to }) => to))];
  // What the rows of maps of f16 scores are relative to, beside each of them.
  const besides = new Set(maps.map((name) => `references_${name}`));
  const references = [
    ...new Set(
      kernels.flatMap(({ kernel }) =>
        kernel.written.flatMap((each) =>
          typeof each !== "string" && besides.has(each.resource) ? [each.resource] : [],
        ),
      ),
    ),
  ];
  const body = kernels.map((each): Step => {
    const { name, grid } = each.kernel;
    const launch = { ...stripLaunch(each.kernel), ...history };
    return { kind: "dispatch", kernel: name, grid, launch, multiplyAdds: stripWork(task, each) };
  });
  return {
    definitions: [...stripDefinitions(pipeline, strips, reach), ...kept.definitions],
    workspace: [
      ...maps.map((name) => ({
        name,
        bytes: ["mul", strips.entryBytes, "batch_step", pipeline.heads, "map_head_stride"] as const,
      })),
      ...references.map((name) => ({
        name,
        bytes: ["mul", 4, "B", pipeline.heads, ["add", "R", "Lq"]] as const,
      })),
      ...kept.workspace,
    ],
    kernels: kernels.map(({ kernel }) => kernel),
    steps: stripSteps(pipeline, reach, strips.skipDead, body),
  };
}

/** Work of a dispatch over a strip: measured on the nominal shape, an entry. */
function stripWork({ shape }: GpuTask, { work }: Predicted): Expression {
  const entries = Math.max(1, shape.B * shape.Lq * shape.Lk);
  const perEntry = Math.max(1, Math.ceil((2 * multiplyAddsOf(work)) / entries));
  return ["mul", "batches", perEntry, ["sub", "key_end", "key_begin"], "strip"];
}
