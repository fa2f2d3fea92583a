import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import { graphOf, mapSlots } from "../../compiler/plan/graph.ts";
import { planCandidates, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import type { Pipeline, Plan } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage, mixStage, softcapStage } from "../support/attentions.ts";

const SHAPE = { B: 2, Lq: 100, Lk: 100, R: 0 };

function stagedPlans(pipeline: Pipeline): Plan[] {
  return [webgpuMachine(WEBGPU_COMMON_LIMITS), machineFor("sm_80")].flatMap((machine) => {
    const candidates = planCandidates(pipeline, { machine, shape: SHAPE, schedule: "staged" });
    return candidates.flatMap(({ plan }) => plan ?? []).slice(0, 1);
  });
}

function mapsOf(plan: Plan): readonly string[] {
  return plan.workspace.flatMap(({ name }) => (name.startsWith("map_") ? [name] : []));
}

test("pointwise stages go along with the operation before them; halos are what later operations read", () => {
  const pipeline = resolve(
    attentionWith({
      heads: 4,
      scores: [softcapStage(5), convStage({ query: 2, key: 3 }), softcapStage(7), mixStage(2)],
      weights: [convStage({ query: 4, key: 1 })],
    }),
    "a.mta",
  );
  const { ops, reach } = graphOf(pipeline);
  const told = ops.map((op) => [op.kind, op.name, "pointwise" in op ? op.pointwise : [], op.halo.past]);
  expect(told).toEqual([
    // One row above for the first convolution, three for the second.
    ["dot", "scores", [{ kind: "softcap", limit: 5 }], 4],
    ["conv", "scores_conv", [{ kind: "softcap", limit: 7 }], 3],
    ["mix", "scores_mix", [], 3],
    ["normalize", "normalize", [], 3],
    ["conv", "weights_conv", [], 0],
    ["product", "product", [], 0],
  ]);
  expect(reach.past).toBe(4);
  expect(graphOf(pipeline)).toBe(graphOf(pipeline));
});

test("a map takes the place of one that nobody reads any more, and of no other", () => {
  const slots = mapSlots([
    { reads: [], writes: 0 },
    { reads: [0], writes: 1 },
    // In place.
    { reads: [1], writes: 1 },
    // Map 0 is read once more: its place is not free before.
    { reads: [1, 0], writes: 2 },
    { reads: [2], writes: 3 },
    { reads: [3, 1], writes: 3 },
  ]);
  expect([...slots]).toEqual([
    [0, "map_0"],
    [1, "map_1"],
    [2, "map_2"],
    [3, "map_0"],
  ]);
});

test("plans allocate as many maps as are alive at a time", () => {
  const none = resolve(attentionWith({}), "a.mta");
  const two = resolve(attentionWith({ scores: [convStage(), convStage(), convStage()] }), "a.mta");
  const [one = [], several = []] = [none, two].map((pipeline) => stagedPlans(pipeline).map(mapsOf));
  expect(one).toEqual([["map_0"], ["map_0"]]);
  expect(several).toEqual([
    ["map_0", "map_1"],
    ["map_0", "map_1"],
  ]);
});
