import {
  type Cost,
  type Expression,
  type FusedProgram,
  hasMask,
  type Pipeline,
  type Plan,
  type Step,
  totalReach,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { batchRounds } from "../batch-rounds.ts";
import {
  type Chain,
  type ChainRole,
  chainStages,
  fusedKernelName,
  headBlock,
  type RowLayout,
} from "../chain.ts";
import { addCosts } from "../cost.ts";
import type { CudaEstimate } from "../cuda-cost.ts";
import { DIRECT, planEpilogue } from "../epilogue.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import type { UnlaunchedKernel } from "../launch-fields.ts";
import { ceilTo, powerOfTwo, STATISTIC_WORDS, statisticsBuffer, valueBlocks } from "../layout.ts";
import type { PlanRequest } from "../machine.ts";
import type { KernelWork } from "../work.ts";
import { directFusedCost } from "./cost.ts";
import { defineDirectPlan, directKernelPlan } from "./define.ts";
import { fusedRegisters, MOST_REGISTERS } from "./registers.ts";

/** Knobs of one fused kernel. */
export interface DirectFusedKnobs {
  readonly tileQ: number;
  readonly tileK: number;
  readonly threads: number;
}

export interface DirectFusedKernel {
  readonly knobs: DirectFusedKnobs;
  readonly program: FusedProgram;
  readonly sharedBytes: number;
  readonly cost: Cost;
  readonly estimate: CudaEstimate;
  readonly work: KernelWork;
}

/** Rows are whole 16-byte units, an odd number of them: eight neighbouring rows lie in different banks. */
export const ALIGNED_ROWS: RowLayout = {
  carryMultiple: 4,
  stride: (columns) => (ceilTo(columns, 4) % 8 === 0 ? ceilTo(columns, 4) + 4 : ceilTo(columns, 4)),
};

/** Lanes that share a row of the softmax at most. */
const MOST_TEAM = 16;

/** One fused kernel with the given knobs, or the limit that it breaks and by how much. */
export function fitDirectFused(
  pipeline: Pipeline,
  role: ChainRole,
  knobs: DirectFusedKnobs,
  request: PlanRequest,
  architecture: CudaArchitecture,
  chain: Chain,
): Fitted<DirectFusedKernel> {
  const { tileQ, tileK, threads } = knobs;
  const heads = headBlock(chainStages(pipeline, role));
  const rows = heads * tileQ;
  const softmax = role !== "apply";
  if (softmax && rows > threads)
    return doesNotFit(
      `the softmax of ${tileQ} rows of ${heads} heads mixed together needs ${rows} threads, ${rows - threads} more than the block's ${threads}; smaller groups would fit`,
    );
  const team = softmax ? powerOfTwo(Math.min(threads / rows, tileK / 4, MOST_TEAM)) : 1;
  const outputs = role === "statistics" ? 0 : Math.ceil(((rows / 4) * valueBlocks(pipeline)) / threads);
  const registers = fusedRegisters(pipeline, role, outputs, softmax ? tileK / team : 0);
  if (registers > MOST_REGISTERS)
    return doesNotFit(
      `keeps about ${registers} words in the registers of a thread, of ${MOST_REGISTERS}; a smaller value_dim or smaller groups would fit`,
    );
  const factorsAt = chain.words;
  const statisticsAt = factorsAt + (role === "single_pass" ? rows : 0);
  const statisticsRows = chain.regions[chain.normalized]?.rows ?? 0;
  const words = statisticsAt + STATISTIC_WORDS * heads * statisticsRows;
  const limitWords = Math.floor(request.machine.limits.workgroupBytes / 4);
  const documentWords = hasMask(pipeline, "documents") ? (chain.regions[0]?.rows ?? 0) : 0;
  const epilogue =
    role === "statistics"
      ? { epilogue: DIRECT, words: 0 }
      : planEpilogue(pipeline, rows, threads, Math.min(limitWords - documentWords, Math.max(words, 4096)));
  if (epilogue === null) return doesNotFit(`a row of ${pipeline.valueDim} values does not fit shared memory`);
  const arenaWords = ceilTo(Math.max(words, epilogue.words), 4);
  const sharedBytes = (arenaWords + documentWords) * 4;
  if (sharedBytes > request.machine.limits.workgroupBytes)
    return doesNotFit(
      `needs ${sharedBytes} bytes of shared memory, ${sharedBytes - request.machine.limits.workgroupBytes} more than a block has`,
    );
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
    // Sums over rows go through shuffles.
    partialsAt: 0,
    statisticsAt,
    statisticsRegion: chain.normalized,
    outputBlocks: outputs,
    epilogue: epilogue.epilogue,
    arenaWords,
  };
  const { cost, estimate, counts } = directFusedCost(
    pipeline,
    { program, threads, sharedBytes, registers },
    request.shape,
    architecture,
  );
  const work = { kernel: fusedKernelName(role), ...counts };
  return { fits: true, value: { knobs, program, sharedBytes, cost, estimate, work } };
}

export function directFusedKnobNames({ tileQ, tileK, threads }: DirectFusedKnobs): Plan["knobs"] {
  return { lowering: "direct", tile_q: tileQ, tile_k: tileK, workgroup: threads };
}

export function directTwoPassKnobNames(
  statistics: DirectFusedKernel,
  apply: DirectFusedKernel,
): Plan["knobs"] {
  return {
    ...directFusedKnobNames(apply.knobs),
    statistics_tile_q: statistics.knobs.tileQ,
    statistics_tile_k: statistics.knobs.tileK,
    statistics_workgroup: statistics.knobs.threads,
  };
}

export function directSinglePassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  kernel: DirectFusedKernel,
): Plan {
  const plan = fusedKernelPlan(
    pipeline,
    fusedKernelName("single_pass"),
    kernel,
    ["q", "q_history", "k", "v", "parameters", "integers", "bias"],
    ["o", "lse"],
  );
  return defineDirectPlan(pipeline, request, architecture, {
    schedule: "single_pass",
    knobs: directFusedKnobNames(kernel.knobs),
    definitions: [],
    workspace: [],
    kernels: [plan],
    steps: batchLoop(pipeline, [{ plan, kernel, rowBegin: 0, history: 0 }]),
    cost: kernel.cost,
  });
}

export function directTwoPassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  kernels: { readonly statistics: DirectFusedKernel; readonly apply: DirectFusedKernel },
): Plan {
  const first = fusedKernelPlan(
    pipeline,
    fusedKernelName("statistics"),
    kernels.statistics,
    ["q", "q_history", "k", "parameters", "integers", "bias"],
    ["statistics", "lse"],
  );
  const second = fusedKernelPlan(
    pipeline,
    fusedKernelName("apply"),
    kernels.apply,
    ["q", "q_history", "k", "v", "parameters", "integers", "bias", "statistics"],
    ["o"],
  );
  const history: Expression = "weight_history";
  return defineDirectPlan(pipeline, request, architecture, {
    schedule: "two_pass",
    knobs: directTwoPassKnobNames(kernels.statistics, kernels.apply),
    // Rows of history whose softmax the weights' convolutions read.
    definitions: [{ name: history, value: ["min", "R", totalReach(pipeline.weights).past] }],
    workspace: [statisticsBuffer(pipeline, history)],
    kernels: [first, second],
    steps: batchLoop(pipeline, [
      { plan: first, kernel: kernels.statistics, rowBegin: ["sub", 0, history], history },
      { plan: second, kernel: kernels.apply, rowBegin: 0, history },
    ]),
    cost: addCosts([kernels.statistics.cost, kernels.apply.cost]),
  });
}

function fusedKernelPlan(
  pipeline: Pipeline,
  name: string,
  kernel: DirectFusedKernel,
  read: readonly string[],
  written: readonly string[],
): UnlaunchedKernel {
  return directKernelPlan(pipeline, {
    name,
    program: kernel.program,
    threads: kernel.knobs.threads,
    sharedBytes: kernel.sharedBytes,
    read,
    written,
    source: pipeline.source,
  });
}

interface Pass {
  readonly plan: UnlaunchedKernel;
  readonly kernel: DirectFusedKernel;
  readonly rowBegin: Expression;
  readonly history: Expression;
}

/** One dispatch a pass over all rows, heads and batch entries. */
function batchLoop(pipeline: Pipeline, passes: readonly Pass[]): readonly Step[] {
  return batchRounds((batches) =>
    passes.map(({ plan, kernel, rowBegin, history }) => ({
      kind: "dispatch",
      kernel: plan.name,
      grid: [
        ["ceilDiv", ["sub", "Lq", rowBegin], kernel.knobs.tileQ],
        pipeline.heads / kernel.program.headBlock,
        batches,
      ],
      launch: {
        batch: "batch",
        row_begin: rowBegin,
        row_end: "Lq",
        ...(kernel.program.role === "single_pass" ? {} : { statistics_history: history }),
      },
      multiplyAdds: ["mul", "B", pipeline.heads, "Lq", "Lk", pipeline.headDim + pipeline.valueDim],
    })),
  );
}
