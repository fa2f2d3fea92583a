// Exact dynamic counts of the kernels for sm_80, from their PTX executed on the CPU. Not a test: a program with a report.
//
//   npm run counts -- [--length 512] [--dim 64,96,128] [--spec "pre 6x11"] [--schedule staged] [--lowering folded] [--all] [--json]
//
// --all counts every tensor-core candidate of a schedule rather than the planner's first.
import { parseArgs } from "node:util";
import { floorMultiplyAdds } from "../../compiler/ir/index.ts";
import { type Candidate, cudaArchitecture, cudaMachine, planCandidates } from "../../compiler/plan/index.ts";
import {
  type AttentionInputs,
  elementCount,
  type Float64Tensor,
  type Pipeline,
  roundTo,
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
import { countedSpecs } from "./specs.ts";

const { values: flags } = parseArgs({
  options: {
    length: { type: "string", default: "512" },
    dim: { type: "string", default: "64,96,128" },
    spec: { type: "string" },
    schedule: { type: "string" },
    lowering: { type: "string" },
    all: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const length = Number(flags.length);
const architecture = cudaArchitecture("sm_80");
if (architecture === null) throw new Error("the planner does not know sm_80");
const machine = cudaMachine(architecture);
const shape = { B: 1, Lq: length, Lk: length, R: 0 };
/** Plans are made for a batch that fills a device: cycles of one multiprocessor are counted, not its neighbours' idleness. */
const planned = { ...shape, B: 64 };

function normal(random: Random, dims: readonly number[], deviation: number): Float64Tensor {
  return {
    shape: dims,
    data: Float64Array.from({ length: elementCount(dims) }, () => random.normal() * deviation),
  };
}

function drawCall(pipeline: Pipeline): {
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
  readonly schedule: string;
  readonly knobs: Readonly<Record<string, number | string>>;
  readonly perScore: number;
  readonly sumPerScore: number;
  readonly multiplyAddsOverFloor: number;
  readonly instructionsPerMma: number | null;
  readonly sharedWavefronts: number;
  readonly sharedConflicts: number;
  readonly ldmatrixConflicts: number;
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

/** Executes a plan and counts. */
async function count(pipeline: Pipeline, candidate: Candidate): Promise<ReportRow> {
  const plan = candidate.plan;
  if (plan === null) throw new Error(candidate.reason ?? "the candidate was dropped");
  const device = await openEmulatedCuda({ checks: "bounds" });
  const { inputs, parameters } = drawCall(pipeline);
  const start = performance.now();
  const { statistics } = await runCudaPlan(device, plan, parameters, inputs);
  const seconds = (performance.now() - start) / 1000;
  const scores = (pipeline.heads * length * (length + 1)) / 2;
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
  return {
    schedule: candidate.schedule,
    knobs: plan.knobs,
    perScore: kernels.reduce((sum, each) => sum + each.perScore, 0),
    sumPerScore: kernels.reduce((sum, each) => sum + each.sum, 0),
    multiplyAddsOverFloor: all.tensorMultiplyAdds / floorMultiplyAdds(pipeline, shape),
    instructionsPerMma: mma === 0 ? null : all.warpInstructions / mma,
    sharedWavefronts: all.sharedWavefronts,
    sharedConflicts: all.sharedConflicts,
    ldmatrixConflicts: all.ldmatrixConflicts,
    bytesOverCompulsory: ((all.globalSectorsRead + all.globalSectorsWritten) * 32) / compulsory,
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
for (const headDim of flags.dim.split(",").map(Number)) {
  for (const counted of countedSpecs(headDim)) {
    if (flags.spec !== undefined && flags.spec !== counted.name) continue;
    const pipeline = pipelineOf(counted.text, "counted");
    let best = Number.POSITIVE_INFINITY;
    for (const schedule of ["single_pass", "two_pass", "staged"] as const) {
      if (flags.schedule !== undefined && flags.schedule !== schedule) continue;
      const candidates = planCandidates(pipeline, {
        machine,
        shape: planned,
        schedule,
      }).filter(
        ({ plan, knobs }) =>
          plan !== null &&
          knobs["lowering"] !== "direct" &&
          (flags.lowering === undefined || knobs["lowering"] === flags.lowering),
      );
      for (const candidate of flags.all ? candidates : candidates.slice(0, 1)) {
        const row = await count(pipeline, candidate);
        best = Math.min(best, row.perScore);
        results.push({ spec: counted.name, headDim, ...row });
        if (!flags.json) print(counted.name, headDim, row);
      }
    }
    if (counted.bound !== null && flags.schedule === undefined) {
      const met = best <= counted.bound;
      if (!met) missed += 1;
      if (!flags.json)
        console.log(
          `  ${met ? "met" : "MISSED"}: ${best.toFixed(3)} cycles per visible score, at most ${counted.bound.toFixed(3)}\n`,
        );
    }
  }
}
if (flags.json) console.log(JSON.stringify(results, null, 2));
process.exitCode = missed === 0 ? 0 : 1;

function print(name: string, headDim: number, row: ReportRow): void {
  const knobs = Object.entries(row.knobs)
    .map(([knob, value]) => `${knob} ${value}`)
    .join(", ");
  console.log(
    `${name}, D = ${headDim}, ${row.schedule} (${knobs}): ${row.perScore.toFixed(3)} cycles a score (sum of units ${row.sumPerScore.toFixed(3)}), ` +
      `multiply-adds ${row.multiplyAddsOverFloor.toFixed(2)} × floor, ${row.instructionsPerMma?.toFixed(2) ?? "–"} instructions an mma, ` +
      `${row.sharedWavefronts} shared wavefronts (${row.sharedConflicts} conflicts, ${row.ldmatrixConflicts} in ldmatrix), ` +
      `global bytes ${row.bytesOverCompulsory.toFixed(1)} × compulsory [${row.seconds.toFixed(1)} s]`,
  );
  if (row.kernels.length > 1) {
    for (const kernel of row.kernels)
      console.log(
        `    ${kernel.kernel}: ${kernel.perScore.toFixed(3)}, bound by ${kernel.bound} (sum ${kernel.sum.toFixed(3)})`,
      );
  }
}
