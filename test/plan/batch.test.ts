import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import { planCandidates } from "../../compiler/plan/index.ts";
import { expandPlan } from "../../runtime/contract/expand.ts";
import type { Schedule, StorageType } from "../../runtime/contract/index.ts";
import { machineFor, planOf } from "../cuda/harness.ts";
import { attentionWith, convStage } from "../support/attentions.ts";

const B = 2 * 65535 + 7;
const SHAPE = { B, Lq: 3, Lk: 5, R: 0 };

const CASES: readonly [Schedule, readonly StorageType[]][] = [
  ["two_pass", ["f32", "f16"]],
  ["single_pass", ["f32", "f16"]],
];

test.each(CASES)("%s: a batch beyond a CUDA grid is split", (schedule, storages) => {
  const weights = schedule === "two_pass" ? [convStage()] : [];
  for (const dtype of storages) {
    // One kernel row: `folded` takes it, too.
    const scores = schedule === "single_pass" ? [convStage({ query: 1, key: 5 })] : [];
    const pipeline = resolve(
      attentionWith({ heads: 2, kvHeads: 2, headDim: 64, valueDim: 64, dtype, scores, weights }),
      "a.mta",
    );
    const machine = machineFor("sm_80");
    const candidates = planCandidates(pipeline, { machine, shape: SHAPE, schedule });
    const legal = candidates.filter(({ reason }) => reason === null);
    expect(legal.length).toBeGreaterThan(0);
    if (dtype === "f16" && schedule === "single_pass")
      expect(legal.map(({ knobs }) => knobs["lowering"])).toContain("folded");
    const seen = new Set<unknown>();
    for (const candidate of legal) {
      const { lowering } = candidate.knobs;
      if (seen.has(lowering)) continue;
      seen.add(lowering);
      const { dispatches } = expandPlan(planOf(candidate), { ...SHAPE, positions: false });
      const ranges = new Map<string, number>();
      for (const { kernel, grid, launch } of dispatches) {
        expect(launch.batch).toBe(ranges.get(kernel.name) ?? 0);
        expect(grid[2]).toBeLessThanOrEqual(65535);
        ranges.set(kernel.name, (launch.batch ?? 0) + grid[2]);
      }
      expect([...new Set(ranges.values())]).toEqual([B]);
    }
  }
});
