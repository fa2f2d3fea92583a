import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DROPOUT_SPECS, dropoutCase } from "../support/dropouts.ts";
import { FAR_POSITIONS, FAR_SPECS, farCase } from "../support/far-positions.ts";
import { legalSchedules } from "../support/gpu.ts";
import type { KnownCase } from "../support/known-case.ts";
import { COMMON_OFFSETS, LOWEST_F32, OFFSET_SPECS, offsetCase } from "../support/offsets.ts";
import { roundInputs } from "../support/rounded.ts";
import type { SuiteTargets } from "./table.ts";
import type { SuiteDevice, SuiteTarget } from "./target.ts";

/** Runs a case in every schedule that can compute it. */
async function checkKnown(device: SuiteDevice, target: SuiteTarget, known: KnownCase): Promise<void> {
  const { pipeline, shape, parameters, expected } = known;
  const inputs = pipeline.storage === "f32" ? known.inputs : roundInputs(known.inputs, pipeline.storage);
  let plans = 0;
  for (const schedule of legalSchedules(pipeline, device)) {
    const found = device.planner.plans(pipeline, shape, schedule);
    if ("reason" in found) {
      if (target.runsAll) throw new Error(`${schedule}: ${found.reason}`);
      continue;
    }
    for (let index = 0; index < Math.min(target.depth, found.count); index += 1) {
      const result = await device.run(found.plan(index), parameters, inputs, null, 0);
      expect(device.problem(pipeline, result, expected), schedule).toBeNull();
      plans += 1;
    }
  }
  expect(plans).toBeGreaterThan(0);
}

/** A suite of cases whose results are known, on every target. */
function describeKnown(
  targets: SuiteTargets,
  cases: (target: SuiteTarget) => readonly (readonly [name: string, make: () => KnownCase])[],
): void {
  // A suite without tests would be a failure.
  const asked = targets.filter(([, target]) => cases(target).length > 0);
  describe.each(asked)("%s", (_name, target, available) => {
    let device: SuiteDevice;

    beforeAll(async () => {
      if (available) device = await target.open();
    });

    afterAll(() => {
      if (available) device.close();
    });

    test.skipIf(!available).each(cases(target))("%s", async (_case, make) => {
      await checkKnown(device, target, make());
    });
  });
}

/** Rows far beyond the keys, as positions place them. */
export function describeFarPositions(targets: SuiteTargets): void {
  describeKnown(targets, ({ known }) =>
    FAR_SPECS.flatMap((mask) =>
      FAR_POSITIONS.map(
        (position) =>
          [`${mask}: a row at position ${position}`, () => farCase(mask, position, known[0])] as const,
      ),
    ),
  );
}

/** The entries that a seed drops, whatever computes them. */
export function describeDropouts(targets: SuiteTargets): void {
  describeKnown(targets, ({ known, drops = known }) =>
    drops.flatMap((storage) =>
      DROPOUT_SPECS.map((spec) => [`${spec}, ${storage}`, () => dropoutCase(spec, storage)] as const),
    ),
  );
}

/** Logits with much in common, and the lowest f32 as a bias. */
export function describeOffsets(targets: SuiteTargets): void {
  describeKnown(targets, ({ known, holdsOffsets }) =>
    OFFSET_SPECS.flatMap((spec) =>
      (holdsOffsets ? known : []).flatMap((storage) => [
        ...COMMON_OFFSETS.map(
          (offset) =>
            [
              `${spec}, ${storage}: logits that have ${offset} in common`,
              () => offsetCase(spec, storage, offset),
            ] as const,
        ),
        [
          `${spec}, ${storage}: the lowest f32 at some keys takes their weight, and hides none`,
          () => offsetCase(spec, storage, LOWEST_F32, "third"),
        ] as const,
      ]),
    ),
  );
}
