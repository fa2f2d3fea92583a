import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import {
  type Machine,
  type PlanOptions,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { expandPlan } from "../../runtime/contract/expand.ts";
import type { Schedule } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage } from "../support/attentions.ts";

const SHAPE = { B: 3, Lq: 40, Lk: 40, R: 0 };
const WEBGPU = webgpuMachine(WEBGPU_COMMON_LIMITS);
const CUDA = machineFor("sm_80");
const MACHINES = { webgpu: WEBGPU, cuda: CUDA };
const PIPELINE = resolve(
  attentionWith({ heads: 2, headDim: 16, valueDim: 16, dtype: "f16", scores: [convStage()] }),
  "a.mta",
);

/** Dispatches of the best plan on f32 units, or of the best one at all. */
function dispatches(
  machine: Machine,
  schedule: Schedule,
  options: PlanOptions,
  lowering: string = "any",
): readonly string[] {
  const found = planCandidates(PIPELINE, { machine, shape: SHAPE, schedule, options }).find(
    ({ reason, knobs }) => reason === null && (lowering === "any" || knobs["lowering"] === lowering),
  );
  if (found?.plan === undefined || found.plan === null) throw new Error("no candidate fits");
  const expanded = expandPlan(found.plan, { ...SHAPE, positions: false });
  return expanded.dispatches.map(({ kernel, grid, launch }) => JSON.stringify([kernel.name, grid, launch]));
}

describe("levers of tests", () => {
  test.each([
    ["webgpu", "staged", "any", { stripRows: 8 }],
    ["webgpu", "staged", "any", { stripBytes: 256 }],
    ["webgpu", "single_pass", "any", { dispatchBudget: 1 }],
    ["webgpu", "two_pass", "any", { dispatchBudget: 1 }],
    ["webgpu", "single_pass", "any", { splits: 2 }],
    ["cuda", "staged", "direct", { stripRows: 8 }],
    ["cuda", "staged", "direct", { stripBytes: 256 }],
    ["cuda", "single_pass", "toeplitz", { splits: 2 }],
  ] as const)("on %s %s (%s): %o changes the dispatches", (target, schedule, lowering, options) => {
    const plain = dispatches(MACHINES[target], schedule, {}, lowering);
    const forced = dispatches(MACHINES[target], schedule, options, lowering);
    expect(forced).not.toEqual(plain);
    expect(forced.length).toBeGreaterThanOrEqual(plain.length);
  });

  test("exactly so many rows of a strip", () => {
    // Eight rows of 40: five strips of four kernels each.
    expect(dispatches(WEBGPU, "staged", { stripRows: 8 })).toHaveLength(5 * 4);
  });

  test("one that does not exist is refused, and so is one that nothing has a use for", () => {
    const request = { machine: WEBGPU, shape: SHAPE };
    const misspelt: object = { strip_rows: 8 };
    expect(() => planCandidates(PIPELINE, { ...request, options: misspelt })).toThrow(
      'the planner has no option "strip_rows"',
    );
    expect(() => planCandidates(PIPELINE, { ...request, options: { stripRows: 0 } })).toThrow(
      "stripRows is 0, not a positive whole number",
    );
    for (const [machine, schedule, options] of [
      [WEBGPU, "single_pass", { stripRows: 8 }],
      [WEBGPU, "two_pass", { splits: 2 }],
      [WEBGPU, "staged", { dispatchBudget: 8 }],
      [WEBGPU, "staged", { stripRows: 8, dispatchBudget: 8 }],
      [CUDA, "two_pass", { splits: 2 }],
      [CUDA, "single_pass", { dispatchBudget: 8 }],
    ] as const)
      expect(() => planCandidates(PIPELINE, { machine, shape: SHAPE, schedule, options })).toThrow(
        /the option \w+ changes nothing here/,
      );
  });

  test("a candidate that would ignore one is dropped", () => {
    const candidates = planCandidates(PIPELINE, {
      machine: CUDA,
      shape: SHAPE,
      schedule: "single_pass",
      options: { splits: 2 },
    });
    const legal = candidates.filter(({ reason }) => reason === null);
    expect(legal.length).toBeGreaterThan(0);
    expect(legal.map(({ knobs }) => knobs["lowering"])).not.toContain("direct");
  });
});
