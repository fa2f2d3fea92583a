import {
  type Expression,
  hasMask,
  type Pipeline,
  type Plan,
  type Schedule,
  type Step,
  VALUES,
} from "../../../runtime/contract/index.ts";
import {
  affordable,
  type Candidate,
  candidateOf,
  dropped,
  type Lowerings,
  unexplored,
} from "../candidate.ts";
import { mapSlots, NO_REACH } from "../graph.ts";
import type { GpuMachine, GpuTask, Tile } from "../machine.ts";
import { mapEntries } from "../map-entries.ts";
import { type Predicted, predict } from "../predict.ts";
import type { Launch } from "../schedule/passes.ts";
import { STAGED_OPTIONS } from "../schedule/staged.ts";
import {
  type Cut,
  rowBegin,
  rowEnd,
  type StripKnobs,
  stripDefinitions,
  stripLaunch,
  stripSteps,
} from "../schedule/strips.ts";
import { CHUNKS } from "../tensor/kernel.ts";
import { productsIllegal } from "../tensor/support.ts";
import { type KernelWork, MMA_MULTIPLY_ADDS, NO_COUNTS, WARP, workOf } from "../work.ts";
import { backwardGraph, mapsOf } from "./graph.ts";
import { type BackwardKernel, KEPT, type Largest, type PartialSum, rowsBytes, TILE } from "./kernel.ts";
import { backwardKernels } from "./kernels.ts";
import { type Products, SCALAR_PRODUCTS } from "./products.ts";
import { type Clearing, clearKernel, sumKernel } from "./sums.ts";
import { TENSOR_PRODUCTS } from "./tensor.ts";

/** Bytes that all maps of a strip take together, unless the least strip needs more. */
const MAP_BYTES = 24 * 2 ** 20;
/** Rows of a strip at most, the usual height first: tensor cores add to gradients of keys once a strip. */
const STRIP_ROWS = { scalar: [128, 64, 256], tensor: [256, 128, 64] } as const;
const STRIPS = { entryBytes: 4, leastRows: 16, multiple: 4, skipDead: true } as const;

/** Rows of history that strips begin with: a name that backward plans define. */
const ROWS_BEFORE = "rows_before";

/**
 * How scalar units compute gradients: strip by strip the forward maps again, then their gradients from the last to the first. Nothing of
 * Lq × Lk is kept. Strips add to gradients in the order of the dispatches, so the bits are the same run after run.
 */
export const SCALAR_BACKWARD: Lowerings<GpuMachine> = lowerings((task) =>
  stripCandidates(task, {
    lowering: task.machine.lowering,
    tiles: tilesOf(task.machine),
    products: SCALAR_PRODUCTS,
    heights: STRIP_ROWS.scalar,
  }),
);

/** The same with products on tensor cores, where these can multiply what is stored. */
export const TENSOR_BACKWARD: Lowerings<GpuMachine> = lowerings((task) => {
  const knobs = { lowering: "tensor" };
  const illegal = productsIllegal(task.pipeline);
  if (illegal !== null) return [dropped("staged", knobs, illegal)];
  const { q, k, v } = CHUNKS;
  const aligned = { ...task, alignment: { ...task.alignment, q, k, v } };
  // Its kernels have tiles of their own.
  return stripCandidates(aligned, {
    lowering: knobs,
    tiles: [null],
    products: TENSOR_PRODUCTS,
    heights: STRIP_ROWS.tensor,
    warpRows: 32,
  });
});

function lowerings(candidates: (task: GpuTask) => readonly Candidate[]): Lowerings<GpuMachine> {
  return {
    single_pass: { options: () => [], candidates: () => [elsewhere("single_pass")] },
    two_pass: { options: () => [], candidates: () => [elsewhere("two_pass")] },
    staged: { options: () => STAGED_OPTIONS, candidates },
  };
}

function elsewhere(schedule: Schedule): Candidate {
  return dropped(
    schedule,
    {},
    "gradients of keys gather from all rows: strips of maps keep them, which is staged",
  );
}

/** The tile that suits most devices first, then those that forward passes have. */
function tilesOf({ staged }: GpuMachine): readonly Tile[] {
  const others = staged.tiles.filter(({ tileQ, tileK }) => tileQ !== TILE.tileQ || tileK !== TILE.tileK);
  return [TILE, ...others];
}

/** What candidates of a lowering are made of. */
interface StripChoices {
  readonly lowering: Candidate["knobs"];
  /** Null: whatever tiles there are, they are no choice. */
  readonly tiles: readonly (Tile | null)[];
  readonly products: Products;
  /** Rows of a strip at most, the usual height first. */
  readonly heights: readonly [number, ...number[]];
  /** Rows that a warp takes of a strip where there are none around it: parts of that many would be idle. */
  readonly warpRows?: number;
}

/**
 * Candidates of strips of every height, with kernels of every tile. All are predicted as the first: what a height or a tile costs the caches is
 * found by measuring, not by counting.
 */
function stripCandidates(
  task: GpuTask,
  { lowering, tiles, products, heights: all, warpRows }: StripChoices,
): readonly Candidate[] {
  const { pipeline, options = {} } = task;
  const graph = backwardGraph(pipeline);
  const slots = mapSlots(graph.steps.map(mapsOf));
  const largest = products.largest(task, graph.steps);
  const heights = options.stripRows === undefined ? all : [options.stripRows];
  const { taken, left } = affordable(tiles, graph.steps.length);
  const named = (tile: Tile | null): Candidate["knobs"] =>
    tile === null ? lowering : { ...lowering, tile_q: tile.tileQ, tile_k: tile.tileK };
  const kernelsOf = (tile: Tile | null): readonly Launched[] => {
    const tiled = { ...task, skipDead: true, largest, tile: tile ?? TILE };
    return graph.steps.flatMap((step) => backwardKernels(tiled, step, slots, products)).flatMap(withSums);
  };
  const around = graph.reach.past + graph.reach.future;
  const whole = around === 0 && options.stripRows === undefined ? warpRows : undefined;
  const usual = stripsOf(task, options.stripRows ?? all[0], whole);
  // What the output's stages are given forward passes keep, but for a few.
  const predicted = kernelsOf(null)
    .filter(({ kernel }) => !writesValues(kernel))
    .map(({ kernel }) => predict(task, kernel, workOfKernel(task, kernel, usual)));
  return [
    ...taken.flatMap((tile) => {
      const pass = {
        graph,
        maps: [...new Set(slots.values())],
        largest,
        kernels: kernelsOf(tile),
        predicted,
        warpRows: whole,
      };
      return heights.map((rows) => stripCandidate(task, { ...named(tile), strip_rows: rows }, rows, pass));
    }),
    ...left.map((tile) => unexplored("staged", named(tile), graph.steps.length)),
  ];
}

/** A backward pass over one strip: what candidates that differ in the height of their strips share. */
interface StripPass {
  readonly graph: ReturnType<typeof backwardGraph>;
  /** Buffers of maps. */
  readonly maps: readonly string[];
  readonly largest: Largest;
  readonly kernels: readonly Launched[];
  readonly predicted: readonly Predicted<BackwardKernel>[];
  readonly warpRows: number | undefined;
}

function stripsOf({ options = {} }: GpuTask, stripRows: number, warpRows?: number): StripKnobs {
  const { stripBytes = MAP_BYTES } = options;
  const strips = { ...STRIPS, stripRows, stripBytes, leastRows: options.stripRows ?? STRIPS.leastRows };
  return warpRows === undefined ? strips : { ...strips, warpRows };
}

function stripCandidate(
  task: GpuTask,
  knobs: Candidate["knobs"],
  stripRows: number,
  { graph, maps, largest, kernels, predicted, warpRows }: StripPass,
): Candidate {
  const { pipeline, machine } = task;
  const strips = stripsOf(task, stripRows, warpRows);
  const fault = kernels.map(({ kernel }) => whyTooLarge(machine, kernel)).find((each) => each !== null);
  if (fault !== undefined) return dropped("staged", knobs, fault);
  const clears = clearsOf(pipeline, largest);
  const cut: Cut = { maps: maps.length, before: ROWS_BEFORE };
  return candidateOf(task, "staged", knobs, {
    fits: true,
    value: {
      kernels: predicted,
      write: () => ({
        definitions: [
          { name: ROWS_BEFORE, value: ["min", "R", graph.history] },
          ...stripDefinitions(pipeline, strips, graph.reach, cut),
        ],
        workspace: [
          ...maps.map((name) => ({
            name,
            bytes: ["mul", STRIPS.entryBytes, "batch_step", pipeline.heads, "map_head_stride"] as const,
          })),
          ...workspaceOf(pipeline, largest, kernels),
        ],
        kernels: [...clears.map(({ kernel }) => kernel), ...kernels.map(({ kernel }) => kernel)],
        steps: [
          ...clears.map(({ kernel, launch }) => dispatch(kernel, launch, 0)),
          ...stripSteps(
            pipeline,
            graph.reach,
            true,
            kernels.map((each) => stripDispatch(pipeline, each)),
            cut,
          ),
        ],
      }),
    },
  });
}

/** Why a device cannot run a kernel; null where it can. */
function whyTooLarge({ limits, terms }: GpuMachine, kernel: BackwardKernel): string | null {
  const { name, workgroup, workgroupBytes } = kernel;
  if (workgroupBytes > limits.workgroupBytes)
    return `"${name}" takes ${workgroupBytes} bytes of ${terms.memory}, ${terms.owner} has ${limits.workgroupBytes}`;
  if (workgroup > limits.invocations)
    return `"${name}" has ${workgroup} ${terms.invocation}s, ${terms.owner} has ${limits.invocations}`;
  return null;
}

/** What a kernel does over a whole call: multiply-adds of each entry that it visits, and a word of each map for it. */
function workOfKernel(task: GpuTask, kernel: BackwardKernel, strips: StripKnobs): KernelWork {
  const { pipeline, shape, machine } = task;
  const { launches, live } = mapEntries(pipeline, shape, strips, kernel.halo, ENTRY_TILE);
  const entries = live / pipeline.heads;
  const maps = [...kernel.read, ...kernel.written].filter(
    (each) => typeof each !== "string" && each.resource.startsWith("map_"),
  ).length;
  const bytes = 4 * maps * live;
  const multiplyAdds = entries * kernel.multiplyAdds;
  const onTensorCores = kernel.program.kind.startsWith("tensor_");
  const counts = {
    ...NO_COUNTS,
    ...(onTensorCores
      ? {
          matrixMultiplyAdds: multiplyAdds,
          instructions: (TENSOR_INSTRUCTIONS * multiplyAdds) / MMA_MULTIPLY_ADDS,
        }
      : { f32MultiplyAdds: multiplyAdds, instructions: (INSTRUCTIONS * multiplyAdds) / WARP }),
    cacheBytes: bytes,
    mapBytes: bytes,
  };
  return workOf(kernel, counts, { launches, blocks: Math.max(1, live / (16 * machine.units.lanes)) });
}

/** Rows and keys that are skipped together where none is visible. */
const ENTRY_TILE = { rows: 32, keys: 32 };
/** Instructions of a multiply-add, with the loads that it needs, about. */
const INSTRUCTIONS = 1.5;
/** Instructions for one on tensor cores. */
const TENSOR_INSTRUCTIONS = 3;

/** A kernel, and the parts that it adds up where it does nothing else. */
interface Launched {
  readonly kernel: BackwardKernel;
  readonly sum: PartialSum | null;
}

function withSums(kernel: BackwardKernel): readonly Launched[] {
  const sums = kernel.sums ?? [];
  return [{ kernel, sum: null }, ...sums.map((sum) => ({ kernel: sumKernel(sum, kernel.source), sum }))];
}

function stripDispatch(pipeline: Pipeline, { kernel, sum }: Launched): Step {
  if (sum !== null) return dispatch(kernel, { count: sum.pieces }, 0);
  // What the forward pass has kept is not computed again.
  const [x, y, z] = kernel.grid;
  const again: BackwardKernel = { ...kernel, grid: [["mul", VALUES_LACK, x], y, z] };
  return dispatch(writesValues(kernel) ? again : kernel, launchOf(kernel, pipeline), [
    "mul",
    "batches",
    kernel.multiplyAdds,
    ["sub", "key_end", "key_begin"],
    "strip",
  ]);
}

/** 1 where what the output's stages are given has to be computed again, else 0. */
const VALUES_LACK: Expression = ["sub", 1, "values_kept"];

function writesValues({ written }: BackwardKernel): boolean {
  return written.includes(KEPT);
}

/** Launch fields of a dispatch over a strip: what all kernels ask for that work on one, and what some do, or do not. */
function launchOf(kernel: BackwardKernel, { output }: Pipeline): Launch {
  const { batch, key_begin, key_end, ...rest } = stripLaunch(kernel);
  const keys: Launch = {
    ...(key_begin === undefined ? {} : { key_begin }),
    ...(key_end === undefined ? {} : { key_end }),
  };
  const entry: Launch = batch === undefined ? {} : { batch };
  switch (kernel.program.kind) {
    case "pointwise":
    case "mix_gradient":
      // All batch entries alike, one after the other.
      return { ...keys, ...rest };
    case "output_adjoint":
      return {
        ...entry,
        ...rest,
        ...(output.length > 0 ? { own_begin: rowBegin(NO_REACH), own_end: rowEnd(NO_REACH) } : {}),
      };
    case "bias_gradient":
      // Heads that share an entry, and batch entries of the gradient.
      return {
        ...entry,
        ...keys,
        ...rest,
        parts: ["floorDiv", "H", "d_bias_heads"],
        count: "d_bias_batches",
      };
    default:
      return { ...entry, ...keys, ...rest };
  }
}

function dispatch({ name, grid }: BackwardKernel, launch: Launch, multiplyAdds: Expression): Step {
  return { kind: "dispatch", kernel: name, grid, launch, multiplyAdds };
}

function clearsOf(pipeline: Pipeline, { kinds }: Largest): readonly Clearing[] {
  const { heads, kvHeads, headDim, valueDim, parameters } = pipeline;
  const words = parameters.reduce((sum, { shape }) => sum + shape.reduce((all, size) => all * size, 1), 0);
  return [
    clearKernel("d_k", ["mul", "B", kvHeads, "Lk"], headDim),
    clearKernel("d_v", ["mul", "B", kvHeads, "Lk"], valueDim),
    clearKernel("d_q_history", ["mul", "B", heads, "R"], headDim),
    ...(hasMask(pipeline, "bias")
      ? [clearKernel("d_bias", ["mul", "d_bias_batches", "d_bias_heads", ["add", "R", "Lq"]], "Lk")]
      : []),
    ...(words === 0 ? [] : [clearKernel("d_parameters", 1, words)]),
    ...(kinds === 0 ? [] : [clearKernel("largest", ["mul", "B", heads], kinds)]),
  ];
}

/** Rows that lie in strips, and parts of parameters' gradients. */
function workspaceOf(
  pipeline: Pipeline,
  { kinds }: Largest,
  kernels: readonly Launched[],
): Plan["workspace"] {
  const { output, heads, valueDim } = pipeline;
  return [
    ...(output.length > 0
      ? [
          {
            name: VALUES.name,
            bytes: ["max", 16, ["mul", 4 * valueDim, VALUES_LACK, "B", heads, "Lq"]] as const,
          },
        ]
      : []),
    { name: "d_values", bytes: rowsBytes(pipeline) },
    ...(kinds === 0 ? [] : [{ name: "largest", bytes: ["mul", 4 * kinds, "B", heads] as const }]),
    ...kernels.flatMap(({ kernel }) =>
      (kernel.sums ?? []).map(({ buffer, bytes }) => ({ name: buffer, bytes })),
    ),
  ];
}
