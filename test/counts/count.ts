import { artifactOf } from "../../compiler/emit/index.ts";
import { trainOn } from "../../compiler/execution/training.ts";
import { floorGradientMultiplyAdds, floorMultiplyAdds, visiblePairs } from "../../compiler/ir/index.ts";
import { type Candidate, choosePlan, type GpuMachine } from "../../compiler/plan/index.ts";
import {
  type AttentionInputs,
  type CallShape,
  elementCount,
  type Float64Tensor,
  type Pipeline,
  type Plan,
  roundTo,
  type Schedule,
} from "../../runtime/contract/index.ts";
import {
  addCounters,
  boundOf,
  type Counters,
  type CudaStatistics,
  estimateCycles,
  openEmulatedCuda,
  totalCycles,
} from "../../runtime/cuda/index.ts";
import { runCudaPlan, trainingDevice } from "../cuda/harness.ts";
import { drawOutputGradient } from "../support/draw.ts";
import { Random } from "../support/random.ts";

export const shapeOf = (length: number): CallShape => ({ B: 1, Lq: length, Lk: length, R: 0 });

function normal(random: Random, dims: readonly number[], deviation: number): Float64Tensor {
  return {
    shape: dims,
    data: Float64Array.from({ length: elementCount(dims) }, () => random.normal() * deviation),
  };
}

/** Normal draws; `offset`: what all scores have in common beside, along the first channel of queries and keys. */
function drawCall(
  pipeline: Pipeline,
  length: number,
  offset: number,
): {
  inputs: AttentionInputs<Float64Tensor>;
  parameters: Map<string, Float64Tensor>;
} {
  const random = new Random(1);
  const { heads, kvHeads, headDim, valueDim, scale } = pipeline;
  const common = Math.sqrt(offset / scale);
  const rounded = (dims: readonly number[], shared: number): Float64Tensor => {
    const tensor = normal(random, dims, 1);
    const channels = dims.at(-1) ?? 1;
    const data = tensor.data.map((value, index) => (index % channels === 0 ? value + shared : value));
    return { shape: dims, data: roundTo(pipeline.storage, data) };
  };
  return {
    inputs: {
      q: rounded([1, heads, length, headDim], common),
      k: rounded([1, kvHeads, length, headDim], common),
      v: rounded([1, kvHeads, length, valueDim], 0),
    },
    parameters: new Map(
      pipeline.parameters.map(({ name, shape: dims }) => [name, normal(random, dims, 0.2)]),
    ),
  };
}

/** What one plan costs. Cycles are of one multiprocessor, per visible score. */
export interface ReportRow {
  readonly length: number;
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  readonly perScore: number;
  readonly sumPerScore: number;
  readonly multiplyAddsOverFloor: number;
  readonly instructionsPerMma: number | null;
  readonly sharedWavefronts: number;
  readonly sharedConflicts: number;
  readonly ldmatrixConflicts: number;
  /** Of global memory, whole sectors, per visible score; no cache is modelled. */
  readonly trafficPerScore: number;
  /** Bytes stored over those of the sectors that they lie in: 0.5 where sectors are written half. */
  readonly sectorsFilled: number;
  readonly bytesOverCompulsory: number;
  readonly opcodes: Counters["opcodes"];
  readonly seconds: number;
  readonly kernels: readonly {
    readonly kernel: string;
    readonly perScore: number;
    readonly bound: string;
    readonly sum: number;
    /** Cycles of each unit a score. */
    readonly units: Readonly<Record<string, number>>;
    readonly opcodes: Counters["opcodes"];
  }[];
}

/** Bytes that global memory moves at a time. */
const SECTOR = 32;

/** What is counted: plans of calls, or of their gradients. */
export interface Counting {
  readonly machine: GpuMachine;
  readonly grad: boolean;
  /** What all scores have in common. */
  readonly offset: number;
}

/** Units whose cycles are printed for each kernel. */
const UNITS = ["tensor", "issue", "shared"] as const;

function unitsOf(
  cycles: ReturnType<typeof estimateCycles>,
  scores: number,
): Readonly<Record<string, number>> {
  return Object.fromEntries(UNITS.map((unit) => [unit, cycles[unit] / scores]));
}

/** Executes a plan: of a call, or of its gradients after the call. */
async function execute(
  pipeline: Pipeline,
  plan: Plan,
  length: number,
  { machine, grad, offset }: Counting,
): Promise<CudaStatistics> {
  const device = await openEmulatedCuda({ checks: "bounds" });
  const { inputs, parameters } = drawCall(pipeline, length, offset);
  if (!grad) return (await runCudaPlan(device, plan, parameters, inputs)).statistics;
  const shape = shapeOf(length);
  const forward = choosePlan(pipeline, { machine, shape });
  const dO = drawOutputGradient(pipeline, shape, 1);
  const asked = { pipeline, call: { inputs, parameters, dO } };
  return (await trainOn(trainingDevice(device), artifactOf(pipeline, [forward], [plan]), asked, dO)).backward;
}

/** Executes a plan and counts. */
export async function count(
  pipeline: Pipeline,
  candidate: Candidate,
  length: number,
  counting: Counting,
): Promise<ReportRow> {
  const plan = candidate.plan;
  if (plan === null) throw new Error(candidate.reason ?? "the candidate was dropped");
  const start = performance.now();
  const statistics = await execute(pipeline, plan, length, counting);
  const seconds = (performance.now() - start) / 1000;
  const shape = shapeOf(length);
  const floor = counting.grad ? floorGradientMultiplyAdds : floorMultiplyAdds;
  const scores = visiblePairs(pipeline, shape);
  const kernels = statistics.kernelCounters.map(({ kernel, counters }) => {
    const cycles = estimateCycles(counters);
    const most = boundOf(cycles);
    return {
      kernel,
      perScore: most.cycles / scores,
      bound: most.unit,
      units: unitsOf(cycles, scores),
      sum: totalCycles(cycles) / scores,
      counters,
    };
  });
  const all: Counters = addCounters(kernels.map(({ counters }) => counters));
  const mma = Object.values(all.mma).reduce((sum, each) => sum + each, 0);
  const compulsory = statistics.compulsoryBytes;
  const traffic = (all.globalSectorsRead + all.globalSectorsWritten) * SECTOR;
  return {
    length,
    schedule: candidate.schedule,
    knobs: plan.knobs,
    perScore: kernels.reduce((sum, each) => sum + each.perScore, 0),
    sumPerScore: kernels.reduce((sum, each) => sum + each.sum, 0),
    multiplyAddsOverFloor: all.tensorMultiplyAdds / floor(pipeline, shape),
    instructionsPerMma: mma === 0 ? null : all.warpInstructions / mma,
    sharedWavefronts: all.sharedWavefronts,
    sharedConflicts: all.sharedConflicts,
    ldmatrixConflicts: all.ldmatrixConflicts,
    trafficPerScore: traffic / scores,
    sectorsFilled: all.globalBytesWritten / (all.globalSectorsWritten * SECTOR),
    bytesOverCompulsory: traffic / compulsory,
    seconds,
    opcodes: all.opcodes,
    kernels: kernels.map(({ kernel, perScore, bound: unit, sum, units, counters }) => ({
      kernel,
      perScore,
      bound: unit,
      sum,
      units,
      opcodes: counters.opcodes,
    })),
  };
}
