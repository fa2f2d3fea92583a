import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import {
  type Machine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  WEBGPU_DEFAULT_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { countDispatches } from "../../compiler/report/count-dispatches.ts";
import { type CallSize, expandPlan } from "../../runtime/contract/expand.ts";
import type { MaskTerm, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { randomPipeline } from "../support/arbitrary.ts";
import { attentionWith, convStage } from "../support/attentions.ts";
import { runsOf, SEED } from "../support/seed.ts";

// What `mtac explain` counts at once is what a launcher lists, one by one.

const MACHINES: readonly Machine[] = [
  webgpuMachine(WEBGPU_DEFAULT_LIMITS),
  webgpuMachine(WEBGPU_COMMON_LIMITS),
  machineFor("sm_80"),
];

/** The first plan of each schedule and lowering. */
function plansOf(pipeline: Pipeline, machine: Machine, shape = { B: 1, Lq: 512, Lk: 512, R: 0 }): Plan[] {
  const seen = new Set<string>();
  return planCandidates(pipeline, { machine, shape }).flatMap(({ schedule, knobs, reason, plan }) => {
    const kind = `${schedule} ${knobs["lowering"]}`;
    if (reason !== null || plan === null || seen.has(kind)) return [];
    seen.add(kind);
    return [plan];
  });
}

const anySize: fc.Arbitrary<CallSize> = fc.record({
  B: fc.integer({ min: 1, max: 5 }),
  Lq: fc.integer({ min: 1, max: 3000 }),
  Lk: fc.integer({ min: 1, max: 3000 }),
  R: fc.constantFrom(0, 1, 7, 100),
  positions: fc.boolean(),
});

test(`for random attentions and calls (seed ${SEED})`, () => {
  fc.assert(
    fc.property(
      randomPipeline({ maxHeads: 6 }),
      fc.constantFrom(...MACHINES),
      fc.array(anySize, { minLength: 3, maxLength: 3 }),
      (pipeline, machine, sizes) => {
        for (const plan of plansOf(pipeline, machine))
          for (const size of sizes)
            expect(countDispatches(plan, size)).toBe(expandPlan(plan, size).dispatches.length);
      },
    ),
    { seed: SEED, numRuns: runsOf(40) },
  );
});

const window = (size: number): MaskTerm => ({ kind: "window", size });

describe.each([
  ["causal", [{ kind: "causal" }]],
  ["a window", [{ kind: "causal" }, window(100)]],
  ["a window to both sides", [window(3)]],
  ["nothing masked", []],
] satisfies readonly [string, readonly MaskTerm[]][])("%s", (_name, mask) => {
  const conv = convStage({ query: 4, key: 5 });
  const pipeline = resolve(attentionWith({ mask: [...mask], scores: [conv], weights: [conv] }), "a.mta");
  const plans = MACHINES.flatMap((machine) => plansOf(pipeline, machine));

  test("many strips, of which some see no keys", () => {
    expect(plans.length).toBeGreaterThan(3);
    for (const [Lq, Lk] of [
      [40_000, 40_000],
      [40_000, 9],
      [9000, 70_000],
    ] as const)
      for (const plan of plans) {
        const size = { B: 2, Lq, Lk, R: 3, positions: false };
        expect(countDispatches(plan, size)).toBe(expandPlan(plan, size).dispatches.length);
      }
  });

  test("lengths whose dispatches nobody lists", () => {
    const shares = plans.map((plan) => {
      const count = (L: number): number =>
        countDispatches(plan, { B: 1, Lq: L, Lk: L, R: 0, positions: false });
      return count(2 ** 30) / count(2 ** 29);
    });
    // One for all rows; one for so many rows; where a dispatch may do so much, one for so many pairs.
    expect(Math.min(...shares)).toBe(1);
    expect(Math.max(...shares)).toBeGreaterThan(1.9);
    expect(Math.max(...shares)).toBeLessThan(4.1);
  });
});
