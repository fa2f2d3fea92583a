// Exact dynamic counts of the kernels for sm_80, from their PTX executed on the CPU. Not a test: a program with a report.
//
//   npm run counts -- [--length 512,1024] [--dim 64,96,128] [--spec "pre 6x11"] [--schedule staged] [--lowering folded] [--all] [--json]
//
// The first length counts every schedule; the others the one that was cheapest there. --all counts every tensor-core
// candidate of a schedule rather than the planner's first.
import { parseArgs } from "node:util";
import { floorMultiplyAdds, visiblePairs } from "../../compiler/ir/index.ts";
import { type Candidate, cudaArchitecture, cudaMachine, planCandidates } from "../../compiler/plan/index.ts";
import {
  type AttentionInputs,
  type CallShape,
  elementCount,
  type Float64Tensor,
  type Pipeline,
  roundTo,
  type Schedule,
} from "../../runtime/contract/index.ts";
import {
  addCounters,
  boundOf,
  type Counters,
  estimateCycles,
  openEmulatedCuda,
  totalCycles,
} from "../../runtime/cuda/index.ts";
import { runCudaPlan } from "../cuda/harness.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";
import { type CountedSpec, countedSpecs } from "./specs.ts";

const { values: flags } = parseArgs({
  options: {
    length: { type: "string", default: "512,1024" },
    dim: { type: "string", default: "64,96,128" },
    spec: { type: "string" },
    schedule: { type: "string" },
    lowering: { type: "string" },
    all: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const lengths = flags.length.split(",").map(Number);
const SCHEDULES_COUNTED = ["single_pass", "two_pass", "staged"] as const;
/** A longer sequence may cost so much more a score than the first length does. */
const GROWTH = 1.04;
const architecture = cudaArchitecture("sm_80");
if (architecture === null) throw new Error("the planner does not know sm_80");
const machine = cudaMachine(architecture);
const shapeOf = (length: number): CallShape => ({ B: 1, Lq: length, Lk: length, R: 0 });

function normal(random: Random, dims: readonly number[], deviation: number): Float64Tensor {
  return {
    shape: dims,
    data: Float64Array.from({ length: elementCount(dims) }, () => random.normal() * deviation),
  };
}

function drawCall(
  pipeline: Pipeline,
  length: number,
): {
  inputs: AttentionInputs<Float64Tensor>;
  parameters: Map<string, Float64Tensor>;
} {
  const random = new Random(1);
  const rounded = (dims: readonly number[]): Float64Tensor => {
    const tensor = normal(random, dims, 1);
    return { shape: dims, data: roundTo(pipeline.storage, tensor.data) };
  };
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  return {
    inputs: {
      q: rounded([1, heads, length, headDim]),
      k: rounded([1, kvHeads, length, headDim]),
      v: rounded([1, kvHeads, length, valueDim]),
    },
    parameters: new Map(
      pipeline.parameters.map(({ name, shape: dims }) => [name, normal(random, dims, 0.2)]),
    ),
  };
}

/** What one plan costs. Cycles are of one multiprocessor, per visible score. */
interface ReportRow {
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
    readonly opcodes: Counters["opcodes"];
  }[];
}

/** Bytes that global memory moves at a time. */
const SECTOR = 32;

/** Executes a plan and counts. */
async function count(pipeline: Pipeline, candidate: Candidate, length: number): Promise<ReportRow> {
  const plan = candidate.plan;
  if (plan === null) throw new Error(candidate.reason ?? "the candidate was dropped");
  const device = await openEmulatedCuda({ checks: "bounds" });
  const { inputs, parameters } = drawCall(pipeline, length);
  const start = performance.now();
  const { statistics } = await runCudaPlan(device, plan, parameters, inputs);
  const seconds = (performance.now() - start) / 1000;
  const shape = shapeOf(length);
  const scores = visiblePairs(pipeline, shape);
  const kernels = statistics.kernelCounters.map(({ kernel, counters }) => {
    const cycles = estimateCycles(counters);
    const most = boundOf(cycles);
    return {
      kernel,
      perScore: most.cycles / scores,
      bound: most.unit,
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
    multiplyAddsOverFloor: all.tensorMultiplyAdds / floorMultiplyAdds(pipeline, shape),
    instructionsPerMma: mma === 0 ? null : all.warpInstructions / mma,
    sharedWavefronts: all.sharedWavefronts,
    sharedConflicts: all.sharedConflicts,
    ldmatrixConflicts: all.ldmatrixConflicts,
    trafficPerScore: traffic / scores,
    sectorsFilled: all.globalBytesWritten / (all.globalSectorsWritten * SECTOR),
    bytesOverCompulsory: traffic / compulsory,
    seconds,
    opcodes: all.opcodes,
    kernels: kernels.map(({ kernel, perScore, bound: unit, sum, counters }) => ({
      kernel,
      perScore,
      bound: unit,
      sum,
      opcodes: counters.opcodes,
    })),
  };
}

const results: object[] = [];
let missed = 0;

/** The planner's tensor-core candidates of a schedule, for a batch that fills a device: cycles of one multiprocessor are counted, not its neighbours' idleness. */
function candidatesOf(pipeline: Pipeline, length: number, schedule: Schedule): readonly Candidate[] {
  const candidates = planCandidates(pipeline, {
    machine,
    shape: { ...shapeOf(length), B: 64 },
    schedule,
  }).filter(
    ({ plan, knobs }) =>
      plan !== null &&
      knobs["lowering"] !== "direct" &&
      (flags.lowering === undefined || knobs["lowering"] === flags.lowering),
  );
  return flags.all ? candidates : candidates.slice(0, 1);
}

/** Counts a spec at one length, and returns the cheapest of the schedules. */
async function cheapest(
  counted: CountedSpec,
  length: number,
  schedules: readonly Schedule[],
): Promise<ReportRow | null> {
  const pipeline = pipelineOf(counted.text, "counted");
  let best: ReportRow | null = null;
  for (const schedule of schedules) {
    if (flags.schedule !== undefined && flags.schedule !== schedule) continue;
    for (const candidate of candidatesOf(pipeline, length, schedule)) {
      const row = await count(pipeline, candidate, length);
      if (best === null || row.perScore < best.perScore) best = row;
      results.push({ spec: counted.name, headDim: counted.headDim, ...row });
      if (!flags.json) print(counted.name, counted.headDim, row);
    }
  }
  return best;
}

/** Says whether a figure is within its bound, as it is printed. */
function judge(figure: number, digits: number, bound: number, unit: string): void {
  const met = Number(figure.toFixed(digits)) <= Number(bound.toFixed(digits));
  if (!met) missed += 1;
  if (flags.json) return;
  console.log(
    `  ${met ? "met" : "MISSED"}: ${figure.toFixed(digits)} ${unit}, at most ${bound.toFixed(digits)}`,
  );
}

for (const headDim of flags.dim.split(",").map(Number)) {
  for (const counted of countedSpecs(headDim)) {
    if (flags.spec !== undefined && flags.spec !== counted.name) continue;
    let first: ReportRow | null = null;
    for (const length of lengths) {
      const best = await cheapest(counted, length, first === null ? SCHEDULES_COUNTED : [first.schedule]);
      if (best === null) continue;
      // A schedule that was asked for is compared with nothing.
      if (flags.schedule === undefined) {
        const { bound, trafficBound } = counted;
        const most = first === null ? bound : Math.max(bound ?? 0, first.perScore) * GROWTH;
        if (most !== null) judge(best.perScore, 3, most, "cycles per visible score");
        if (trafficBound !== null) judge(best.trafficPerScore, 1, trafficBound, "bytes per visible score");
      }
      first ??= best;
    }
    if (!flags.json) console.log();
  }
}
if (flags.json) console.log(JSON.stringify(results, null, 2));
process.exitCode = missed === 0 ? 0 : 1;

function print(name: string, headDim: number, row: ReportRow): void {
  const knobs = Object.entries(row.knobs)
    .map(([knob, value]) => `${knob} ${value}`)
    .join(", ");
  console.log(
    `${name}, D = ${headDim}, L = ${row.length}, ${row.schedule} (${knobs}): ${row.perScore.toFixed(3)} cycles a score (sum of units ${row.sumPerScore.toFixed(3)}), ` +
      `multiply-adds ${row.multiplyAddsOverFloor.toFixed(2)} × floor, ${row.instructionsPerMma?.toFixed(2) ?? "–"} instructions an mma, ` +
      `${row.sharedWavefronts} shared wavefronts (${row.sharedConflicts} conflicts, ${row.ldmatrixConflicts} in ldmatrix), ` +
      `global memory ${row.trafficPerScore.toFixed(1)} bytes a score, ${row.bytesOverCompulsory.toFixed(1)} × compulsory, ` +
      `written sectors ${(row.sectorsFilled * 100).toFixed(0)} % filled [${row.seconds.toFixed(1)} s]`,
  );
  if (row.kernels.length > 1) {
    for (const kernel of row.kernels)
      console.log(
        `    ${kernel.kernel}: ${kernel.perScore.toFixed(3)}, bound by ${kernel.bound} (sum ${kernel.sum.toFixed(3)})`,
      );
  }
}
