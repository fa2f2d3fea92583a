import type { Expression, Pipeline, Plan, Step } from "../../../runtime/contract/index.ts";
import { definePlan } from "../define.ts";
import { mapSlots, NO_REACH } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import type { StagedTask } from "../schedule/staged-kernels.ts";
import {
  type Cut,
  rowBegin,
  rowEnd,
  type StripKnobs,
  stripDefinitions,
  stripLaunch,
  stripSteps,
} from "../schedule/strips.ts";
import { backwardGraph, mapsOf } from "./graph.ts";
import {
  type BackwardKernel,
  backwardKernels,
  clearKernel,
  type PartialSum,
  rowsBytes,
  sumKernel,
} from "./kernels.ts";

/** Bytes that all maps of a strip take together, unless the least strip needs more. */
const MAP_BYTES = 24 * 2 ** 20;
/** Rows of a strip at most: more would not cost less, and skip less of a causal mask. */
const MOST_ROWS = 128;
const STRIPS = { entryBytes: 4, leastRows: 16, multiple: 4, skipDead: true } as const;

/** Rows of history that strips begin with: a name that backward plans define. */
const ROWS_BEFORE = "rows_before";

/**
 * The plan of a pipeline's backward pass on scalar units: strip by strip the forward maps again, then their gradients from the last to
 * the first. Nothing of Lq × Lk is kept. Sums over strips are added up in the order of the dispatches, so the bits are the same run after run.
 */
export function backwardPlan(task: GpuTask): Plan {
  const { pipeline, options = {} } = task;
  const graph = backwardGraph(pipeline);
  const slots = mapSlots(graph.steps.map(mapsOf));
  const maps = [...new Set(slots.values())];
  const { stripRows = MOST_ROWS, stripBytes = MAP_BYTES } = options;
  const knobs: StripKnobs = {
    ...STRIPS,
    stripRows,
    stripBytes,
    leastRows: options.stripRows ?? STRIPS.leastRows,
  };
  const staged: StagedTask = { ...task, skipDead: true };
  const kernels = graph.steps.flatMap((step) => withSums(backwardKernels(staged, step, slots)));
  const clears = clearsOf(pipeline);
  const cut: Cut = { maps: maps.length, before: ROWS_BEFORE };
  const plan = definePlan(
    { ...task, pipeline },
    { schedule: "staged", knobs: { ...task.machine.lowering, strip_rows: stripRows }, cost: NO_COST },
    {
      definitions: [
        { name: ROWS_BEFORE, value: ["min", "R", graph.history] },
        ...stripDefinitions(pipeline, knobs, graph.reach, cut),
      ],
      workspace: [
        ...maps.map((name) => ({
          name,
          bytes: ["mul", STRIPS.entryBytes, "batch_step", pipeline.heads, "map_head_stride"] as const,
        })),
        ...workspaceOf(pipeline, kernels),
      ],
      kernels: [...clears.map(({ kernel }) => kernel), ...kernels.map(({ kernel }) => kernel)],
      steps: [
        ...clears.map(({ kernel, words }) => dispatch(kernel, { words }, 0)),
        ...stripSteps(pipeline, graph.reach, true, kernels.map(stripDispatch), cut),
      ],
    },
  );
  const { naming } = task.machine;
  const named = { ...pipeline, name: `${pipeline.name}_backward` };
  return {
    ...plan,
    direction: "backward",
    kernels: plan.kernels.map((kernel) => ({
      ...kernel,
      file: naming.file(named, kernel.name),
      entryPoint: naming.entryPoint(named, kernel.name),
    })),
  };
}

const NO_COST = { multiplyAdds: 0, floorMultiplyAdds: 0, bytes: 0, barriers: 0, time: 0 };

/** A kernel, and the parts that it adds up where it does nothing else. */
interface Launched {
  readonly kernel: BackwardKernel;
  readonly sum: PartialSum | null;
}

function withSums(kernels: readonly BackwardKernel[]): readonly Launched[] {
  return kernels.flatMap((kernel) => [
    { kernel, sum: null },
    ...(kernel.sums ?? []).map((sum) => ({ kernel: sumKernel(sum, kernel.source), sum })),
  ]);
}

function stripDispatch({ kernel, sum }: Launched): Step {
  if (sum !== null) return dispatch(kernel, { pieces: sum.pieces }, 0);
  const own =
    kernel.program.kind === "output_adjoint"
      ? { own_begin: rowBegin(NO_REACH), own_end: rowEnd(NO_REACH) }
      : {};
  return dispatch(kernel, { ...stripLaunch(kernel), ...own }, [
    "mul",
    "batches",
    kernel.multiplyAdds,
    ["sub", "key_end", "key_begin"],
    "strip",
  ]);
}

function dispatch(
  { name, grid }: BackwardKernel,
  launch: Extract<Step, { kind: "dispatch" }>["launch"],
  multiplyAdds: Expression,
): Step {
  return { kind: "dispatch", kernel: name, grid, launch, multiplyAdds };
}

function clearsOf(pipeline: Pipeline): ReturnType<typeof clearKernel>[] {
  const { heads, kvHeads, headDim, valueDim, parameters } = pipeline;
  const words = parameters.reduce((sum, { shape }) => sum + shape.reduce((all, size) => all * size, 1), 0);
  return [
    clearKernel("d_k", ["mul", "B", kvHeads, "Lk", headDim]),
    clearKernel("d_v", ["mul", "B", kvHeads, "Lk", valueDim]),
    clearKernel("d_q_history", ["mul", "B", heads, "R", headDim]),
    ...(words === 0 ? [] : [clearKernel("d_parameters", words)]),
  ];
}

/** Rows that lie in strips, and parts of parameters' gradients. */
function workspaceOf(pipeline: Pipeline, kernels: readonly Launched[]): Plan["workspace"] {
  return [
    ...(pipeline.output.length > 0 ? [{ name: "values", bytes: rowsBytes(pipeline) }] : []),
    { name: "d_values", bytes: rowsBytes(pipeline) },
    ...kernels.flatMap(({ kernel }) =>
      (kernel.sums ?? []).map(({ buffer, bytes }) => ({ name: buffer, bytes })),
    ),
  ];
}
