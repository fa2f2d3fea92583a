import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SCHEDULES } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { limitsOf } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { runTrial, trialsOf } from "../support/trial.ts";

let device: GPUDevice;
const counts = new Map<string, number>();

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => {
  device.destroy();
  const lines = [...counts].map(([what, count]) => `  ${count} ${what}`);
  console.log(`plans that ran, and schedules that did not fit:\n${lines.sort().join("\n")}`);
});

function count(what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

async function checkCase(drawn: RandomCase): Promise<void> {
  // A random candidate beside the best one for every other case: `npm run soak` tries more.
  const { trials, unfit } = trialsOf(drawn, limitsOf(device), { candidates: drawn.seed & 1 });
  const expected = referenceForward(drawn.pipeline, drawn.parameters, drawn.inputs);
  for (const trial of trials) {
    const failure = await runTrial(device, trial, expected);
    if (failure !== null) throw new Error(failure);
    count(`${trial.plan.schedule} ${trial.plan.storage}, ${trial.origin}`);
  }
  for (const { schedule, reason } of unfit) {
    // `staged` is the schedule for what no other can hold: it must fit even 16 KiB.
    expect(schedule, reason).not.toBe("staged");
    count(`${schedule} does not fit`);
  }
}

test(`random attentions agree with the reference in every legal schedule (seed ${SEED})`, async () => {
  // Shrinking runs hundreds of cases: only where someone asks for it.
  const { MTAC_SHRINK } = process.env;
  const endOnFailure = MTAC_SHRINK === undefined;
  await fc.assert(fc.asyncProperty(randomCase({ sunkRows: true }), checkCase), {
    seed: SEED,
    numRuns: runsOf(40),
    endOnFailure,
  });
  const ran = [...counts.keys()].join();
  for (const schedule of SCHEDULES) expect(ran).toContain(schedule);
});
