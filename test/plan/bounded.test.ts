import { describe, expect, test } from "vitest";
import { keyRanges, resolve } from "../../compiler/ir/index.ts";
import { planCandidates, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import { mapEntries } from "../../compiler/plan/map-entries.ts";
import { attentionFacts, explain } from "../../compiler/report/explain.ts";
import { formatExplanation } from "../../compiler/report/explanation.ts";
import { createStyle } from "../../compiler/terminal/style.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage, mixStage } from "../support/attentions.ts";

// The planner's time is bounded by what it does, which is counted here: kernels that it fits and predicts, and rows that it walks.

const MACHINES = [webgpuMachine(WEBGPU_COMMON_LIMITS), machineFor("sm_80")];
const SHAPE = { B: 1, Lq: 1024, Lk: 1024, R: 0 };
const CONVS = Array.from({ length: 64 }, () => convStage({ query: 3, key: 5 }));
const MIXED = CONVS.map((stage, index) => (index % 2 === 0 ? stage : mixStage(16)));

/** As many stages and heads as the language allows. */
const LARGEST: readonly (readonly [string, Pipeline])[] = (["f32", "f16"] as const).flatMap((dtype) =>
  (
    [
      ["convolutions", CONVS],
      ["convolutions and mixes", MIXED],
    ] as const
  ).map(([name, stages]) => {
    const attention = attentionWith({
      heads: 1024,
      headDim: 64,
      dtype,
      scores: [...stages],
      weights: [...stages],
    });
    return [`${name}, ${dtype}`, resolve(attention, "a.mta")] as const;
  }),
);

describe.each(LARGEST)("64 stages a section, 1024 heads: %s", (_name, pipeline) => {
  test.each(MACHINES.map((machine) => [machine.target, machine] as const))(
    "on %s few kernels are fitted, and what is left out is told",
    (_target, machine) => {
      let kernels = 0;
      const candidates = planCandidates(pipeline, {
        machine,
        shape: SHAPE,
        onPredicted: (count) => {
          kernels += count;
        },
      });
      expect(candidates[0]?.reason).toBeNull();
      // Two lowerings of at most 1024 kernels over maps, products, and three kinds of fused kernels of at most 60 geometries.
      expect(kernels).toBeGreaterThan(128);
      expect(kernels).toBeLessThanOrEqual(2 * (1024 + 131) + 3 * 60);
      const left = candidates.filter(({ unexplored }) => unexplored === true);
      expect(left.length).toBeGreaterThan(0);
      for (const { reason, plan } of left) {
        expect(reason).toContain("not looked at: plans have 131 kernels");
        expect(plan).toBeNull();
      }
    },
  );
});

test("explain tells what was not looked at, as text and as data", () => {
  const [largest] = LARGEST;
  if (largest === undefined) throw new Error("there are cases");
  const facts = attentionFacts([], largest[1], { batch: 1, length: 1024 });
  const explanation = explain(facts, { target: "webgpu", limits: WEBGPU_COMMON_LIMITS });
  const told = explanation.candidates.filter(({ unexplored }) => unexplored === true);
  expect(told.map(({ schedule, knobs }) => [schedule, knobs])).toEqual([
    ["staged", { tile_q: 16, tile_k: 32 }],
    ["staged", { tile_q: 64, tile_k: 64 }],
  ]);
  const text = formatExplanation(explanation, createStyle(false)).replace(/\s+/g, " ");
  expect(text.includes("– staged with tile_q 16")).toBe(true);
  expect(text.includes("not looked at: plans have 131 kernels")).toBe(true);
});

test("ordinary attentions are searched whole", () => {
  const pipeline = resolve(
    attentionWith({ scores: CONVS.slice(0, 16), weights: CONVS.slice(0, 16) }),
    "a.mta",
  );
  for (const machine of MACHINES)
    for (const { unexplored } of planCandidates(pipeline, { machine, shape: SHAPE }))
      expect(unexplored).toBeUndefined();
});

/** The same counts, tile by tile. */
function countedByTiles(
  pipeline: Pipeline,
  { Lq, Lk }: { readonly Lq: number; readonly Lk: number },
  strip: number,
  haloRows: number,
  tile: { readonly rows: number; readonly keys: number },
): { live: number; written: number } {
  const range = keyRanges(pipeline, { B: 1, Lq, Lk, R: 0 });
  let live = 0;
  let written = 0;
  for (let row = 0; row < Lq; row += strip) {
    const end = Math.min(row + strip, Lq);
    for (let first = Math.max(0, row - haloRows); first < end; first += tile.rows) {
      const [low, high] = range(first, Math.min(first + tile.rows, end) - 1);
      live += tile.rows * Math.ceil((high - low) / tile.keys) * tile.keys;
      written += tile.rows * range(row, end - 1)[1];
    }
  }
  return { live: live * pipeline.heads, written: written * pipeline.heads };
}

test.each([
  ["causal", [{ kind: "causal" }]],
  ["a window", [{ kind: "causal" }, { kind: "window", size: 37 }]],
  ["a window to both sides", [{ kind: "window", size: 9 }]],
  ["nothing masked", []],
] as const)("entries of maps are those of the tiles one by one: %s", (_name, mask) => {
  const pipeline = resolve(attentionWith({ mask: [...mask] }), "a.mta");
  for (const [Lq, Lk, rows] of [
    [100, 100, 20],
    [101, 300, 16],
    [64, 70, 64],
    [1, 5, 16],
  ] as const) {
    // Strips of equal height, as the counts assume.
    const strip = Math.ceil(Lq / Math.ceil(Lq / rows));
    for (const past of [0, 3, 250])
      for (const tile of [
        { rows: 1, keys: 32 },
        { rows: 4, keys: 4 },
        { rows: 32, keys: 32 },
      ]) {
        const shape = { B: 1, Lq, Lk, R: 0 };
        const strips = { stripRows: rows, stripBytes: 2 ** 40, entryBytes: 4 };
        const halo = { past, future: 0, left: 0, right: 0 };
        expect(mapEntries(pipeline, shape, strips, halo, tile)).toMatchObject(
          countedByTiles(pipeline, shape, strip, past, tile),
        );
      }
  }
});
