import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { referenceForward } from "../../runtime/reference/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { bearsShift } from "../support/offsets.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { runTrial, trialsOf } from "../support/trial.ts";
import type { SuiteTargets } from "./table.ts";
import type { SuiteDevice } from "./target.ts";

/** Random attentions agree with the reference, on every target. */
export function describeProperties(targets: SuiteTargets): void {
  describe.each(targets)("%s", (name, target, available) => {
    let device: SuiteDevice;
    const counts = new Map<string, number>();
    const count = (what: string): void => {
      counts.set(what, (counts.get(what) ?? 0) + 1);
    };

    beforeAll(async () => {
      if (available) device = await target.open();
    });

    afterAll(() => {
      if (available) device.close();
      const lines = [...counts].map(([what, times]) => `  ${times} ${what}`);
      if (lines.length > 0)
        console.log(`${name}, plans that ran and schedules that did not fit:\n${lines.sort().join("\n")}`);
    });

    const check = async (drawn: RandomCase): Promise<void> => {
      const { trials, unfit } = trialsOf(drawn, device, target.pick(new Random(drawn.seed)));
      const expected = referenceForward(drawn.pipeline, drawn.parameters, drawn.inputs);
      for (const trial of trials) {
        if (drawn.shift !== null && !bearsShift(trial.plan, drawn.shift)) {
          count(`${trial.plan.schedule} left out: its scores are f16 that do not bear their shift`);
          continue;
        }
        const failure = await runTrial(device, trial, expected);
        if (failure !== null) throw new Error(failure);
        const shifted = drawn.shift === null ? "" : ", shifted";
        count(`${trial.plan.schedule} ${trial.plan.storage}, ${trial.origin}${shifted}`);
      }
      for (const { schedule, reason } of unfit) {
        // `staged` is the schedule for what no other can hold.
        if (target.fitsAll) expect(schedule, reason).not.toBe("staged");
        count(`${schedule} does not fit`);
      }
    };

    test.skipIf(!available)(
      `random attentions agree with the reference in every legal schedule (seed ${SEED})`,
      async () => {
        // Shrinking runs hundreds of cases: only where someone asks for it.
        const { MTAC_SHRINK } = process.env;
        await fc.assert(fc.asyncProperty(randomCase(target.cases), check), {
          seed: SEED,
          numRuns: runsOf(target.runs),
          endOnFailure: MTAC_SHRINK === undefined,
        });
        const ran = [...counts.keys()].join();
        if (target.runsAll) for (const schedule of device.schedules) expect(ran).toContain(schedule);
      },
      600_000,
    );
  });
}
