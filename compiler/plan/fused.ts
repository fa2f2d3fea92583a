import {
  type CallShape,
  type Cost,
  type Expression,
  type FusedProgram,
  type Pipeline,
  type Plan,
  type Step,
  totalReach,
} from "../../runtime/contract/index.ts";
import { MOST_GRID } from "./batch-rounds.ts";
import { bind } from "./bindings.ts";
import { buildChain, type Chain, type ChainRole, chainStages, fusedKernelName, headBlock } from "./chain.ts";
import { addCosts, type FusedGeometry, fusedCost } from "./cost.ts";
import { DISPATCH_MULTIPLY_ADDS, definePlan } from "./define.ts";
import { DIRECT, MAX_OUTPUT_BLOCKS, planEpilogue } from "./epilogue.ts";
import { doesNotFit, type Fitted } from "./fit.ts";
import type { UnlaunchedKernel } from "./launch-fields.ts";
import { powerOfTwo, STATISTIC_WORDS, statisticsBuffer, valueBlocks } from "./layout.ts";
import type { PlanRequest } from "./machine.ts";
import type { KernelWork } from "./work.ts";

/** Knobs of one fused kernel. */
export interface FusedKnobs {
  readonly tileQ: number;
  readonly tileK: number;
  readonly workgroup: number;
}

export interface FusedKernel {
  readonly knobs: FusedKnobs;
  readonly program: FusedProgram;
  readonly workgroupBytes: number;
  readonly cost: Cost;
  readonly work: KernelWork;
}

export const FUSED_TILES_Q = [4, 8, 16, 32, 64] as const;
export const FUSED_TILES_K = [8, 16, 32, 64] as const;
export const FUSED_WORKGROUPS = [64, 128, 256] as const;

/** One fused kernel with the given knobs, or the limit that it breaks and by how much. */
export function fitFused(
  pipeline: Pipeline,
  role: ChainRole,
  knobs: FusedKnobs,
  request: PlanRequest,
  chain: Chain = buildChain(pipeline, role, knobs.tileQ, knobs.tileK),
): Fitted<FusedKernel> {
  const { tileQ, tileK, workgroup } = knobs;
  const limits = request.machine.limits;
  if (workgroup > limits.invocations)
    return doesNotFit(`needs ${workgroup} invocations, the device has ${limits.invocations}`);
  const heads = headBlock(chainStages(pipeline, role));
  const rows = heads * tileQ;
  const softmax = role !== "apply";
  if (softmax && rows > workgroup)
    return doesNotFit(
      `the softmax of ${tileQ} rows of ${heads} heads mixed together needs ${rows} invocations, ${rows - workgroup} more than the workgroup's ${workgroup}; smaller groups would fit`,
    );
  const team = softmax ? powerOfTwo(Math.min(workgroup / rows, tileK, 16)) : 1;
  const outputs = role === "statistics" ? 0 : Math.ceil(((rows / 4) * valueBlocks(pipeline)) / workgroup);
  if (outputs > MAX_OUTPUT_BLOCKS) {
    return doesNotFit(
      `keeps ${outputs * 16} results in the registers of an invocation, ${(outputs - MAX_OUTPUT_BLOCKS) * 16} more than fit; a smaller value_dim or smaller groups would fit`,
    );
  }

  const factorsAt = chain.words;
  const partialsAt = factorsAt + (softmax ? rows : 0);
  const statisticsAt = partialsAt + (softmax ? workgroup : 0);
  const statisticsRows = chain.regions[chain.normalized]?.rows ?? 0;
  const words = statisticsAt + STATISTIC_WORDS * heads * statisticsRows;
  const limitWords = Math.floor(limits.workgroupBytes / 4);
  // Documents of the rows take a word each beside the arena.
  const documentWords = pipeline.mask.some((term) => term.kind === "documents")
    ? (chain.regions[0]?.rows ?? 0)
    : 0;
  const epilogue =
    role === "statistics"
      ? { epilogue: DIRECT, words: 0 }
      : planEpilogue(pipeline, rows, workgroup, Math.min(limitWords - documentWords, Math.max(words, 2048)));
  if (epilogue === null)
    return doesNotFit(`a row of ${pipeline.valueDim} values does not fit beside ${workgroup} partial sums`);
  const arenaWords = Math.max(words, epilogue.words);
  const bytes = (arenaWords + documentWords) * 4;
  if (bytes > limits.workgroupBytes) {
    return doesNotFit(
      `needs ${bytes} bytes of workgroup memory, ${bytes - limits.workgroupBytes} more than the device has`,
    );
  }
  const program: FusedProgram = {
    kind: "fused",
    role,
    headBlock: heads,
    tileQ,
    tileK,
    reachLeft: chain.reach.left,
    regions: chain.regions,
    chain: chain.steps,
    final: chain.final,
    team,
    factorsAt,
    partialsAt,
    statisticsAt,
    statisticsRegion: chain.normalized,
    outputBlocks: outputs,
    epilogue: epilogue.epilogue,
    arenaWords,
  };
  const geometry: FusedGeometry = { program, workgroup };
  const { cost, counts } = fusedCost(pipeline, geometry, request.shape);
  const work = { kernel: fusedKernelName(role), ...counts };
  return { fits: true, value: { knobs, program, workgroupBytes: bytes, cost, work } };
}

export function fusedKnobNames(knobs: FusedKnobs): Plan["knobs"] {
  return { tile_q: knobs.tileQ, tile_k: knobs.tileK, workgroup: knobs.workgroup };
}

export function twoPassKnobNames(statistics: FusedKernel, apply: FusedKernel): Plan["knobs"] {
  return {
    statistics_tile_q: statistics.knobs.tileQ,
    statistics_tile_k: statistics.knobs.tileK,
    statistics_workgroup: statistics.knobs.workgroup,
    ...fusedKnobNames(apply.knobs),
  };
}

export function singlePassPlan(pipeline: Pipeline, request: PlanRequest, kernel: FusedKernel): Plan {
  const plan = kernelPlan(
    pipeline,
    fusedKernelName("single_pass"),
    kernel,
    ["q", "q_history", "k", "v", "parameters", "bias"],
    ["o", "lse"],
  );
  return definePlan(pipeline, request, {
    schedule: "single_pass",
    knobs: fusedKnobNames(kernel.knobs),
    definitions: [],
    workspace: [],
    kernels: [plan],
    steps: tileLoop(pipeline, plan, kernel, request.shape, 0, 0),
    cost: kernel.cost,
  });
}

export function twoPassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  statistics: FusedKernel,
  apply: FusedKernel,
): Plan {
  const first = kernelPlan(
    pipeline,
    fusedKernelName("statistics"),
    statistics,
    ["q", "q_history", "k", "parameters", "bias"],
    ["statistics", "lse"],
  );
  const second = kernelPlan(
    pipeline,
    fusedKernelName("apply"),
    apply,
    ["q", "q_history", "k", "v", "parameters", "bias", "statistics"],
    ["o"],
  );
  const history: Expression = "weight_history";
  return definePlan(pipeline, request, {
    schedule: "two_pass",
    knobs: twoPassKnobNames(statistics, apply),
    // Rows of history whose softmax the weights' convolutions read.
    definitions: [{ name: history, value: ["min", "R", totalReach(pipeline.weights).past] }],
    workspace: [statisticsBuffer(pipeline, history)],
    kernels: [first, second],
    steps: [
      ...tileLoop(pipeline, first, statistics, request.shape, ["sub", 0, history], history),
      ...tileLoop(pipeline, second, apply, request.shape, 0, history),
    ],
    cost: addCosts([statistics.cost, apply.cost]),
  });
}

function kernelPlan(
  pipeline: Pipeline,
  name: string,
  kernel: FusedKernel,
  read: readonly string[],
  written: readonly string[],
): UnlaunchedKernel {
  return {
    name,
    file: `${pipeline.name}.${name}.wgsl`,
    entryPoint: "main",
    workgroupSize: kernel.knobs.workgroup,
    workgroupBytes: kernel.workgroupBytes,
    bindings: bind(pipeline, read, written),
    overrides: { HISTORY: ["min", "R", 1] },
    source: pipeline.source,
    program: kernel.program,
  };
}

/** Dispatches over batch entries and row tiles, cut so that none does more than DISPATCH_MULTIPLY_ADDS at the given shape. */
function tileLoop(
  pipeline: Pipeline,
  plan: UnlaunchedKernel,
  kernel: FusedKernel,
  shape: CallShape,
  rowBegin: Expression,
  history: Expression,
): Step[] {
  const tiles: Expression = ["ceilDiv", ["sub", "Lq", rowBegin], kernel.knobs.tileQ];
  // Work of one row tile of all heads, per key: measured on the nominal shape, grown with Lk.
  const nominalTiles = Math.max(1, Math.ceil(shape.Lq / kernel.knobs.tileQ)) * shape.B;
  const perKey = Math.max(
    1,
    Math.ceil((2 * kernel.cost.multiplyAdds) / nominalTiles / Math.max(1, shape.Lk)),
  );
  const perTile: Expression = ["mul", perKey, "Lk"];
  const batchStep: Expression = [
    "max",
    1,
    ["min", "B", MOST_GRID, ["floorDiv", DISPATCH_MULTIPLY_ADDS, ["max", 1, ["mul", perTile, tiles]]]],
  ];
  const tileStep: Expression = [
    "max",
    1,
    ["min", MOST_GRID, ["floorDiv", DISPATCH_MULTIPLY_ADDS, ["max", 1, ["mul", perTile, batchStep]]]],
  ];
  const tileCount: Expression = ["min", tileStep, ["sub", tiles, "tile"]];
  const batchCount: Expression = ["min", batchStep, ["sub", "B", "batch"]];
  return [
    {
      kind: "loop",
      variable: "batch",
      from: 0,
      to: "B",
      by: batchStep,
      body: [
        {
          kind: "loop",
          variable: "tile",
          from: 0,
          to: tiles,
          by: tileStep,
          body: [
            {
              kind: "dispatch",
              kernel: plan.name,
              grid: [tileCount, pipeline.heads / kernel.program.headBlock, batchCount],
              launch: {
                batch: "batch",
                first_tile: "tile",
                row_begin: rowBegin,
                row_end: "Lq",
                ...(kernel.program.role === "single_pass" ? {} : { statistics_history: history }),
              },
              multiplyAdds: ["mul", perTile, tileCount, batchCount],
            },
          ],
        },
      ],
    },
  ];
}
