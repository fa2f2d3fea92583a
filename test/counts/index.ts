// Exact dynamic counts of the kernels for sm_80, from their PTX executed on the CPU. Not a test: a program with a report.
//
//   npm run counts -- [--length 512,1024] [--dim 64,96,128] [--spec "pre 6x11"] [--schedule staged] [--lowering folded] [--all] [--grad] [--offset 100] [--json]
//
// The first length counts every schedule; the others the plan that was cheapest there: what is compared is the kernels, not what a planner
// makes of how many blocks fill a device. --all counts every tensor-core
// candidate of a schedule rather than the planner's first. --grad counts backward passes, f32 units among them, at one length. --offset says
// what all scores have in common: convolutions of scores take more at the borders of masks then.
import { isDeepStrictEqual, parseArgs } from "node:util";
import { type Candidate, cudaArchitecture, cudaMachine, planCandidates } from "../../compiler/plan/index.ts";
import type { Pipeline, Schedule } from "../../runtime/contract/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { type Counting, count, type ReportRow, shapeOf } from "./count.ts";
import { type CountedSpec, countedSpecs } from "./specs.ts";

const { values: flags } = parseArgs({
  options: {
    length: { type: "string" },
    dim: { type: "string", default: "64,96,128" },
    spec: { type: "string" },
    schedule: { type: "string" },
    lowering: { type: "string" },
    all: { type: "boolean", default: false },
    grad: { type: "boolean", default: false },
    offset: { type: "string", default: "0" },
    json: { type: "boolean", default: false },
  },
});
const { grad } = flags;
const lengths = (flags.length ?? (grad ? "512" : "512,1024")).split(",").map(Number);
const SCHEDULES_COUNTED: readonly Schedule[] = grad ? ["staged"] : ["single_pass", "two_pass", "staged"];
/** A longer sequence may cost so much more a score than the first length does. */
const GROWTH = 1.04;
const architecture = cudaArchitecture("sm_80");
if (architecture === null) throw new Error("the planner does not know sm_80");
const machine = cudaMachine(architecture);
const counting: Counting = { machine, grad, offset: Number(flags.offset) };

const results: object[] = [];
let missed = 0;

/** The planner's tensor-core candidates of a schedule, for a batch that fills a device: cycles of one multiprocessor are counted, not its neighbours' idleness. */
function candidatesOf(
  pipeline: Pipeline,
  length: number,
  schedule: Schedule,
  first: ReportRow | null,
): readonly Candidate[] {
  const candidates = planCandidates(pipeline, {
    machine,
    shape: { ...shapeOf(length), B: 64 },
    schedule,
    ...(grad ? { direction: "backward" as const } : {}),
  }).filter(
    ({ plan, knobs }) =>
      plan !== null &&
      (grad || knobs["lowering"] !== "direct") &&
      (flags.lowering === undefined || knobs["lowering"] === flags.lowering),
  );
  if (flags.all) return candidates;
  const same = candidates.filter(({ knobs }) => isDeepStrictEqual(knobs, first?.knobs));
  return (same.length > 0 ? same : candidates).slice(0, 1);
}

/** Counts a spec at one length, and returns the cheapest of the schedules; after the first length the plan that was cheapest there. */
async function cheapest(
  counted: CountedSpec,
  length: number,
  first: ReportRow | null,
): Promise<ReportRow | null> {
  const pipeline = pipelineOf(counted.text, "counted");
  let best: ReportRow | null = null;
  for (const schedule of first === null ? SCHEDULES_COUNTED : [first.schedule]) {
    if (flags.schedule !== undefined && flags.schedule !== schedule) continue;
    for (const candidate of candidatesOf(pipeline, length, schedule, first)) {
      const row = await count(pipeline, candidate, length, counting);
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
  for (const counted of countedSpecs(headDim, grad)) {
    if (flags.spec !== undefined && flags.spec !== counted.name) continue;
    let first: ReportRow | null = null;
    for (const length of lengths) {
      const best = await cheapest(counted, length, first);
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

function unitsText(units: ReportRow["kernels"][number]["units"]): string {
  return Object.entries(units)
    .map(([unit, cycles]) => `${unit} ${cycles.toFixed(3)}`)
    .join(", ");
}

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
        `    ${kernel.kernel}: ${kernel.perScore.toFixed(3)}, bound by ${kernel.bound} (${unitsText(kernel.units)}, sum ${kernel.sum.toFixed(3)})`,
      );
  }
}
