import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import {
  type Machine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { evaluate, type KernelProgram, type Plan, type Schedule } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage, normStage } from "../support/attentions.ts";

// Tables, tiles and strips, as plans have them; regions of fused kernels are in `geometry.test.ts`. Every number here is worked out by hand,
// in the comment beside it, from what a kernel must hold. None is copied from what the planner says: where a test fails, one of the two is wrong.

const WEBGPU = webgpuMachine(WEBGPU_COMMON_LIMITS);
const SM_80 = machineFor("sm_80");

/** The plan with certain knobs. */
function planWith(
  changes: Partial<Attention>,
  machine: Machine,
  schedule: Schedule,
  knobs: Plan["knobs"],
): Plan {
  const shape = { B: 1, Lq: 512, Lk: 512, R: 0 };
  const candidates = planCandidates(resolve(attentionWith(changes), "a.mta"), { machine, shape, schedule });
  const found = candidates.find((candidate) =>
    Object.entries(knobs).every(([name, value]) => candidate.knobs[name] === value),
  );
  if (!found?.plan) throw new Error(`${JSON.stringify(knobs)}: ${found?.reason ?? "no such candidate"}`);
  return found.plan;
}

function programOf<Kind extends KernelProgram["kind"]>(
  plan: Plan,
  kind: Kind,
): Extract<KernelProgram, { readonly kind: Kind }> & { readonly bytes: number } {
  for (const { program, workgroupBytes } of plan.kernels) {
    if (program?.kind !== kind) continue;
    return { ...(program as Extract<KernelProgram, { readonly kind: Kind }>), bytes: workgroupBytes };
  }
  throw new Error(`no ${kind} in ${plan.kernels.map(({ name }) => name)}`);
}

describe("tables beside the regions", () => {
  test("WebGPU: factors, partial sums, documents, the output's sums", () => {
    const plan = planWith(
      {
        mask: [{ kind: "causal" }, { kind: "documents" }],
        scores: [convStage({ query: 3, key: 5 })],
        output: [normStage()],
      },
      WEBGPU,
      "single_pass",
      { tile_q: 16, tile_k: 32, workgroup: 64 },
    );
    const fused = programOf(plan, "fused");
    // 16 rows share 64 invocations: 4 each. Regions take 1232 words (chain 2), factors 16, sums 64: 1312.
    expect(fused.team).toBe(4);
    expect([fused.factorsAt, fused.partialsAt, fused.arenaWords]).toEqual([1232, 1248, 1312]);
    // One block of four values: 16 rows of one sum each, then 16 factors, over the regions.
    expect([fused.epilogue.mode, fused.epilogue.partialsAt, fused.epilogue.factorsAt]).toEqual([
      "rows",
      0,
      16,
    ]);
    // A document for each of the raw scores' 20 rows: (1312 + 20) · 4 = 5328.
    expect(fused.bytes).toBe(5328);
    // 2 keys left of the first that it finishes.
    expect(fused.reachLeft).toBe(2);
  });
});

describe("tiles of the staged schedule", () => {
  test("WebGPU: 16 × 32 entries and a 3 × 5 convolution around them", () => {
    const plan = planWith({ scores: [convStage({ query: 3, key: 5 })] }, WEBGPU, "staged", {
      tile_q: 16,
      tile_k: 32,
    });
    const program = programOf(plan, "conv");
    // 16 + 2 rows of 32 + 4 words: 18 · 36 = 648 words, 2592 bytes.
    expect([program.haloRows, program.rowStride, program.arenaWords, program.bytes]).toEqual([
      18, 36, 648, 2592,
    ]);
    expect([program.haloLeft, program.haloColumns]).toEqual([2, 36]);
  });

  test("CUDA: the same around 64 × 64, in whole units of four", () => {
    const plan = planWith({ scores: [convStage({ query: 3, key: 5 })] }, SM_80, "staged", {
      lowering: "direct",
      tile_q: 64,
      tile_k: 64,
    });
    const program = programOf(plan, "conv");
    // 2 keys on either side are 4 each: 64 + 8 = 72 columns, 18 units; one more makes 76 words. 66 · 76 · 4 = 20064 bytes.
    expect([program.haloRows, program.haloLeft, program.haloColumns]).toEqual([66, 4, 72]);
    expect([program.rowStride, program.bytes]).toEqual([76, 20064]);
  });

  test("strips of a call: 300 rows in three of 100", () => {
    const plan = planWith({ scores: [convStage({ query: 3, key: 3 })] }, WEBGPU, "staged", {
      strip_rows: 128,
    });
    const values: Record<string, number> = { B: 1, Lq: 300, Lk: 300, R: 0, H: 2, positions: 0 };
    for (const { name, value } of plan.definitions) values[name] = evaluate(value, values);
    expect(values).toMatchObject({
      halo_past: 2,
      halo_future: 0,
      // 300 keys in 64s.
      map_row_stride: 320,
      // At most 128: three strips, of 100 rows each.
      most_rows: 128,
      strip: 100,
      map_rows: 102,
      // 102 · 320.
      map_head_stride: 32640,
    });
  });
});

describe("shared memory of tensor-core tiles", () => {
  const HALF: Partial<Attention> = { headDim: 64, valueDim: 64, dtype: "f16" };
  const BASE = { tile_q: 64, tile_k: 64, queries: "shared" };
  const placesOf = (changes: Partial<Attention>, knobs: Plan["knobs"]): unknown => {
    const { places, sharedBytes } = programOf(
      planWith({ ...HALF, ...changes }, SM_80, "single_pass", knobs),
      "tensor_tile",
    );
    return { ...places, sharedBytes };
  };

  test("1. no convolution", () => {
    // A row of 64 f16 and one unit of 16 bytes: 144. Keys 64 · 144 = 9216; two tiles of values 18432; 64 queries 9216.
    const places = {
      k: 0,
      v: 9216,
      q: 27648,
      halo: -1,
      scores: -1,
      taps: -1,
      references: -1,
      sharedBytes: 36864,
    };
    expect(placesOf({}, { ...BASE, lowering: "tensor" })).toEqual(places);
  });

  test("2. queries in registers pass through the keys' place", () => {
    const places = {
      k: 0,
      v: 9216,
      q: 0,
      halo: -1,
      scores: -1,
      taps: -1,
      references: -1,
      sharedBytes: 27648,
    };
    expect(placesOf({}, { ...BASE, lowering: "tensor", queries: "registers" })).toEqual(places);
  });

  test("3. conv 3 × 3: its 2 rows are a block of eight", () => {
    // Halo queries 8 · 144 = 1152 after the queries; scores (64 + 8) rows of 64 f16 and a unit, 144: 10368. References of 72 rows, 64 constants,
    // sums of taps of 3 rows at 2 + 2 + 16 places, one mean key of 144 bytes: 928.
    const knobs = { ...BASE, lowering: "toeplitz", taps: "registers", precision: "f16" };
    const places = {
      k: 0,
      v: 9216,
      q: 27648,
      halo: 36864,
      scores: 38016,
      taps: -1,
      references: 48384,
      sharedBytes: 49312,
    };
    expect(placesOf({ scores: [convStage({ query: 3, key: 3 })] }, knobs)).toEqual(places);
    // Pairs of f16: the scores once more, 58752, and the references behind them.
    expect(placesOf({ scores: [convStage({ query: 3, key: 3 })] }, { ...knobs, precision: "exact" })).toEqual(
      {
        ...places,
        references: 58752,
        sharedBytes: 59680,
      },
    );
  });

  test("4. conv 6 × 11, steps of 32 keys, taps in shared memory", () => {
    // 5 rows are a block of eight, 5 keys on either side a block each: 3 distances by 3 pairs of rows by 256 bytes = 2304.
    // Keys 32 · 144 = 4608, values 9216, queries 9216, halo 1152, scores 72 · (32 · 2 + 16) = 5760, taps 2304. References 4 · (72 + 64), sums of taps
    // 4 · 188, a mean key 144: 1440.
    const knobs = { ...BASE, tile_k: 32, lowering: "toeplitz", taps: "shared", precision: "f16" };
    expect(placesOf({ scores: [convStage({ query: 6, key: 11 })] }, knobs)).toEqual({
      k: 0,
      v: 4608,
      q: 13824,
      halo: 23040,
      scores: 24192,
      taps: 29952,
      references: 32256,
      sharedBytes: 33696,
    });
    const { conv: lowered, haloPast } = programOf(
      planWith({ ...HALF, scores: [convStage({ query: 6, key: 11 })] }, SM_80, "single_pass", knobs),
      "tensor_tile",
    );
    expect([haloPast, lowered?.granulesLeft, lowered?.granulesRight]).toEqual([8, 1, 1]);
  });

  test("5. folded conv 3 × 3: three copies of the keys, shifted queries", () => {
    // Keys 3 · 9216 = 27648, values 18432, queries 64 + 2 rows: 9504. The tile's first query lies 2 · 144 = 288 bytes behind.
    // References of 66 rows, 264 bytes; constants of 64, 256; sums of 3 kernel rows' taps around 1 + 1 + 2 + 16 keys, 240; what keys have in common, 144.
    const places = {
      k: 0,
      v: 27648,
      q: 46368,
      halo: -1,
      scores: -1,
      taps: -1,
      references: 55584,
      sharedBytes: 56488,
    };
    expect(placesOf({ scores: [convStage({ query: 3, key: 3 })] }, { ...BASE, lowering: "folded" })).toEqual(
      places,
    );
    const plan = planWith({ ...HALF, scores: [convStage({ query: 3, key: 3 })] }, SM_80, "single_pass", {
      ...BASE,
      lowering: "folded",
    });
    // Sixteen results a warp are made of 16 + 8 + 8 keys: two steps of 16. Four warps: 16 · 3 + 32 = 80 rows of 144 bytes, and what they have in common.
    expect(programOf(plan, "tensor_fold")).toMatchObject({ granulesLeft: 1, sourceSteps: 2, bytes: 11664 });
  });

  test("6. sizes that are no multiple of sixteen", () => {
    // 40 elements are three sixteens, 96 bytes and a unit: 112. 72 are five: 176. Keys 64 · 112 = 7168, values
    // 2 · 64 · 176 = 22528, queries 7168.
    const places = {
      k: 0,
      v: 7168,
      q: 29696,
      halo: -1,
      scores: -1,
      taps: -1,
      references: -1,
      sharedBytes: 36864,
    };
    expect(placesOf({ headDim: 40, valueDim: 72 }, { ...BASE, lowering: "tensor" })).toEqual(places);
  });
});
