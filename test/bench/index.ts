/**
 * `npm run bench`: every schedule against the unfused pipeline, which keeps whole maps and skips nothing, on the best
 * device there is. Prints ratios from one run; on a device that emulates a GPU they say nothing about a real one.
 */
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { floorMultiplyAdds } from "../../compiler/ir/index.ts";
import {
  choosePlan,
  type PlanRequest,
  planCandidates,
  scheduleIllegal,
  unfusedPlan,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { type Pipeline, type Plan, SCHEDULES } from "../../runtime/contract/index.ts";
import { releaseWorkspace, requestDevice } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { limitsOf } from "../support/gpu.ts";
import { compileTimes } from "./compile.ts";
import { createRunner, interleave, median, type Runner, randomInputs } from "./measure.ts";
import { benchmarkPipelines } from "./specs.ts";

const { values } = parseArgs({
  options: {
    lengths: { type: "string", default: "128,256,512" },
    rounds: { type: "string", default: "3" },
    only: { type: "string" },
    candidates: { type: "string", default: "1" },
  },
});

function label(plan: Plan): string {
  return `${plan.schedule} ${Object.entries(plan.knobs)
    .filter(([name]) => name !== "")
    .map(([, value]) => value)
    .join("/")}`;
}

async function benchmark(device: GPUDevice, pipeline: Pipeline, length: number): Promise<boolean> {
  const shape = { B: 1, Lq: length, Lk: length, R: 0 };
  const request: PlanRequest = { machine: webgpuMachine(limitsOf(device)), shape };
  const chosen = choosePlan(pipeline, request);
  const runners: Runner[] = [await createRunner(device, "unfused", unfusedPlan(pipeline, request))];
  for (const schedule of SCHEDULES) {
    if (scheduleIllegal(pipeline, schedule) !== null) continue;
    const plans = planCandidates(pipeline, { ...request, schedule }).flatMap(({ plan }) => plan ?? []);
    const step = Math.max(1, Math.floor(plans.length / Number(values.candidates)));
    for (let index = 0; index < Number(values.candidates) && plans[index * step] !== undefined; index += 1) {
      const plan = plans[index * step];
      if (plan !== undefined) runners.push(await createRunner(device, label(plan), plan));
    }
  }
  const inputs = randomInputs(device, pipeline, shape);
  await interleave(runners, inputs, Number(values.rounds));
  const base = median(runners[0]?.times ?? []);
  const floor = floorMultiplyAdds(pipeline, shape);
  console.log(
    `\n${pipeline.name}, L = ${length} (unfused ${base.toFixed(0)} ms, floor ${(floor / 1e6).toFixed(1)} M multiply-adds)`,
  );
  console.log(
    `  ${"plan".padEnd(44)} ${"time/unfused".padStart(12)} ${"work/floor".padStart(11)} ${"workspace".padStart(12)} ${"model".padStart(8)}`,
  );
  let fast = true;
  for (const runner of runners) {
    const ratio = median(runner.times) / base;
    const picked =
      runner.plan.schedule === chosen.schedule &&
      JSON.stringify(runner.plan.knobs) === JSON.stringify(chosen.knobs);
    if (picked && (ratio > 1 || (length >= 512 && ratio > 0.6))) fast = false;
    console.log(
      `${picked ? "* " : "  "}${runner.name.padEnd(44)} ${ratio.toFixed(3).padStart(12)} ${(runner.plan.cost.multiplyAdds / floor).toFixed(2).padStart(11)} ${`${((runner.footprint?.workspaceBytes ?? 0) / 2 ** 20).toFixed(2)} MiB`.padStart(12)} ${(runner.plan.cost.time / 1e6).toFixed(0).padStart(8)}`,
    );
  }
  for (const runner of runners) runner.launcher.destroy();
  for (const tensor of [inputs.q, inputs.k, inputs.v]) tensor.buffer.destroy();
  releaseWorkspace(device);
  return fast;
}

const start = performance.now();
const { adapter, description } = await openNodeGpu();
const device = await requestDevice(adapter, {});
console.log(`device: ${description}`);
console.log(
  "* the planner's choice; work: multiply-adds done by the cost model's count; model: predicted time",
);
let fast = true;
for (const pipeline of benchmarkPipelines()) {
  if (values.only !== undefined && !pipeline.name.includes(values.only)) continue;
  for (const length of values.lengths.split(",").map(Number)) {
    fast = (await benchmark(device, pipeline, length)) && fast;
  }
}
if (values.only === undefined || values.only === "compile") await compileTimes();
console.log(
  `\n${fast ? "the planner's choices are never slower than unfused, and take at most 0.6 of its time from L = 512 on" : "MISSED: a planner's choice is slower than unfused, or above 0.6 of its time from L = 512 on"}`,
);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
device.destroy();
