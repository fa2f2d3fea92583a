import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import {
  keepValues,
  type PlanRequest,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  WEBGPU_DEFAULT_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { verifyPlan } from "../../compiler/plan/verify/index.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { randomPipeline } from "../support/arbitrary.ts";
import { corpusPipelines } from "../support/corpus.ts";
import { runsOf, SEED } from "../support/seed.ts";

const WHOLE = { B: 1, Lq: 1024, Lk: 1024, R: 0 };
const STEP = { B: 4, Lq: 1, Lk: 3000, R: 5 };
const REQUESTS: readonly PlanRequest[] = [
  { machine: webgpuMachine(WEBGPU_DEFAULT_LIMITS), shape: STEP },
  { machine: webgpuMachine({ ...WEBGPU_COMMON_LIMITS, features: ["shader-f16"] }), shape: WHOLE },
  { machine: machineFor("sm_80"), shape: STEP },
  { machine: machineFor("sm_90"), shape: WHOLE },
];

/** Calls that the first plan of a kind is tried on beside the sample: whole sequences, long caches, many rows or entries. */
const CALLS = [
  { B: 3, Lq: 37, Lk: 37, R: 0, positions: false },
  { B: 2, Lq: 5, Lk: 301, R: 200, positions: false },
  { B: 2, Lq: 150, Lk: 333, R: 13, positions: true },
  // More than a dispatch may do, or than an axis of a grid holds.
  { B: 1, Lq: 1200, Lk: 1300, R: 1, positions: false },
  { B: 150_000, Lq: 1, Lk: 3, R: 2, positions: false },
];
/** Only without a mask are there more rows than keys. */
const MANY_ROWS = { B: 1, Lq: 300_000, Lk: 2, R: 0, positions: false };

const counts = new Map<string, number>();

afterAll(() => {
  const lines = [...counts].map(([what, count]) => `  ${count} ${what}`);
  console.log(`plans that keep to the grammar:\n${lines.sort().join("\n")}`);
});

/** @param every Of all candidates but the first of their kind, one of so many is written and checked. */
function check(pipeline: Pipeline, every: number): void {
  for (const request of REQUESTS) {
    const best = new Set<unknown>();
    for (const [index, candidate] of planCandidates(pipeline, request).entries()) {
      const { schedule, knobs, reason } = candidate;
      const kind = `${schedule} ${knobs["lowering"]}`;
      if (reason !== null || (best.has(kind) && index % every !== 0)) continue;
      // It is verified as it is written, for the sample of calls.
      const { plan } = candidate;
      if (plan === null) throw new Error(`${kind} fits, and has no plan`);
      const what = `${plan.target} ${plan.schedule} ${plan.knobs["lowering"] ?? ""}`;
      const calls = [...CALLS, ...(pipeline.mask.length === 0 ? [MANY_ROWS] : [])];
      if (!best.has(kind)) for (const each of [plan, keepValues(plan)]) verifyPlan(each, calls);
      best.add(kind);
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  }
}

test(`every candidate for random attentions keeps to the grammar of plans (seed ${SEED})`, () => {
  const sizes = [
    randomPipeline({ maxHeads: 20 }),
    randomPipeline({ maxHeads: 12, maxDim: 128, dimStep: 8, storages: ["f16", "bf16"], maxStages: 2 }),
  ];
  fc.assert(
    fc.property(fc.oneof(...sizes), (pipeline) => check(pipeline, 1)),
    { seed: SEED, numRuns: runsOf(4), endOnFailure: true },
  );
});

test("candidates of every kind for the corpus do", () => {
  for (const pipeline of corpusPipelines()) check(pipeline, 20);
  expect(counts.size).toBeGreaterThan(6);
});
