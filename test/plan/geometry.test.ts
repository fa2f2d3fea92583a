import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import { buildChain, type Chain, type ChainRole } from "../../compiler/plan/chain.ts";
import { WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import type { RowLayout } from "../../compiler/plan/machine.ts";
import { machineFor } from "../cuda/harness.ts";
import { attentionWith, convStage, mixStage, softcapStage } from "../support/attentions.ts";

// Every number here is worked out by hand, in the comment beside it, from what a kernel must hold. None is copied from what
// the planner says: where a test fails, one of the two is wrong.

/** A convolution with a kernel of so many rows and keys. */
function conv(
  query: number,
  key: number,
  changes: Parameters<typeof convStage>[0] = {},
): ReturnType<typeof convStage> {
  return convStage({ query, key, ...changes });
}

function chainOf(
  changes: Partial<Attention>,
  role: ChainRole,
  tile: readonly [rows: number, keys: number],
  layout: RowLayout = webgpuMachine(WEBGPU_COMMON_LIMITS).rows,
): Chain {
  return buildChain(resolve(attentionWith(changes), "a.mta"), role, tile[0], tile[1], layout);
}

/** [first word, rows, of them above the tile, columns kept, words of a row, lag] of a region. */
type Row = readonly [
  offset: number,
  rows: number,
  above: number,
  carry: number,
  rowStride: number,
  lag: number,
];

function rowsOf({ regions }: Chain): Row[] {
  return regions.map(({ offset, rows, above, carry, rowStride, lag }) => [
    offset,
    rows,
    above,
    carry,
    rowStride,
    lag,
  ]);
}

describe("regions of fused kernels, rows packed", () => {
  test("1. no stage: one map of the tile, 16 × 32 words", () => {
    const chain = chainOf({}, "single_pass", [16, 32]);
    expect(rowsOf(chain)).toEqual([[0, 16, 0, 0, 32, 0]]);
    expect(chain.words).toBe(512);
    expect(chain.steps.map(({ kind, finish }) => [kind, finish.mask])).toEqual([["dot", "hide"]]);
  });

  test("2. conv 3 × 5, past rows, both sides", () => {
    // It reads 2 rows up, 2 keys left, 2 right. Raw: 16 + 2 = 18 rows, in fours 20; 32 + 4 = 36 words a row, 20 · 36 = 720.
    // The result trails by the 2 keys to the right. 720 + 16 · 32 = 1232.
    const chain = chainOf({ scores: [conv(3, 5)] }, "single_pass", [16, 32]);
    expect(rowsOf(chain)).toEqual([
      [0, 20, 2, 4, 36, 0],
      [720, 16, 0, 0, 32, 2],
    ]);
    expect(chain.words).toBe(1232);
    expect(chain.final).toBe(1);
  });

  test("3. conv 1 × 4, left only: no rows, no lag", () => {
    // 3 keys left. Raw: 8 rows of 16 + 3 = 19, 152 words; then 8 · 16 = 128.
    const chain = chainOf({ scores: [conv(1, 4, { padKey: "left" })] }, "single_pass", [8, 16]);
    expect(rowsOf(chain)).toEqual([
      [0, 8, 0, 3, 19, 0],
      [152, 8, 0, 0, 16, 0],
    ]);
    expect(chain.words).toBe(280);
  });

  test("4. conv 2 × 4, right only: all of its reach is lag", () => {
    // 1 row up, 3 keys right. Raw: 4 + 1 = 5 rows, in fours 8; 8 + 3 = 11 words, 88. The result trails by 3: 88 + 4 · 8 = 120.
    const chain = chainOf({ scores: [conv(2, 4, { padKey: "right" })] }, "single_pass", [4, 8]);
    expect(rowsOf(chain)).toEqual([
      [0, 8, 1, 3, 11, 0],
      [88, 4, 0, 0, 8, 3],
    ]);
    expect(chain.words).toBe(120);
  });

  test("5. conv 5 × 3, rows on both sides, dilated 2 × 3", () => {
    // Origin (2, 1): 2 · 2 = 4 rows up, 4 down, 3 keys left, 3 right. Raw: 16 + 8 = 24 rows of 16 + 6 = 22, 528 words.
    const stage = conv(5, 3, { padQuery: "both", dilation: { query: 2, key: 3 } });
    expect(rowsOf(chainOf({ scores: [stage] }, "single_pass", [16, 16]))).toEqual([
      [0, 24, 4, 6, 22, 0],
      [528, 16, 0, 0, 16, 3],
    ]);
  });

  /** 2 rows up, 1 key left, 1 right; then 1 row up, 2 left, 2 right. */
  const TWO = [conv(3, 3), conv(2, 5)];

  test("6. two convolutions: the second's halo is the first's to compute", () => {
    // After the first: 8 + 1 = 9 rows, in fours 12, 1 above; 16 + 4 = 20 words, 240.
    // Raw: 12 + 2 = 14 rows, in fours 16, 1 + 2 = 3 above; 16 + 2 = 18 words, 288. Lags 0, 1, 1 + 2 = 3.
    const chain = chainOf({ scores: TWO }, "single_pass", [8, 16]);
    expect(rowsOf(chain)).toEqual([
      [0, 16, 3, 2, 18, 0],
      [288, 12, 1, 4, 20, 1],
      [528, 8, 0, 0, 16, 3],
    ]);
    // 288 + 240 + 8 · 16 = 656.
    expect(chain.words).toBe(656);
  });

  test("7. across 2 of 4 heads: a region holds two heads", () => {
    // Raw: 16 + 2 = 18 rows, in fours 20, of 16 + 2 = 18 words: 360 a head, 720 both. Then 2 · 16 · 16 = 512: 1232.
    const chain = chainOf(
      { heads: 4, kvHeads: 4, scores: [conv(3, 3, { across: 2 })] },
      "single_pass",
      [16, 16],
    );
    expect(rowsOf(chain)).toEqual([
      [0, 20, 2, 2, 18, 0],
      [720, 16, 0, 0, 16, 1],
    ]);
    expect(chain.regions.map(({ headStride }) => headStride)).toEqual([360, 256]);
    expect(chain.words).toBe(1232);
  });

  test("8. across 4 and mix 6 of 12 heads: twelve together, the mix in place", () => {
    // The least common multiple of 4 and 6 is 12. Raw: 4 rows of 8 + 2 = 10, 40 a head, 480; then 32 a head: 480 + 384 = 864.
    const stages = [conv(1, 3, { across: 4 }), softcapStage(4), mixStage(6), softcapStage(2)];
    const chain = chainOf({ heads: 12, kvHeads: 12, scores: stages }, "single_pass", [4, 8]);
    expect(rowsOf(chain)).toEqual([
      [0, 4, 0, 2, 10, 0],
      [480, 4, 0, 0, 8, 1],
    ]);
    expect(chain.words).toBe(864);
    expect(chain.steps).toEqual([
      { kind: "dot", to: 0, finish: { pointwise: [], mask: "zero" } },
      {
        kind: "conv",
        stage: { section: "scores", index: 0 },
        from: 0,
        to: 1,
        finish: { pointwise: [{ kind: "softcap", limit: 4 }], mask: "zero" },
      },
      {
        kind: "mix",
        stage: { section: "scores", index: 2 },
        in: 1,
        finish: { pointwise: [{ kind: "softcap", limit: 2 }], mask: "hide" },
      },
    ]);
  });

  test("9. apply: the softmax between two convolutions, its rows those that the second reads", () => {
    // As in 6: scores are normalised where the first convolution leaves them, 12 rows of them.
    const chain = chainOf({ scores: TWO.slice(0, 1), weights: TWO.slice(1) }, "apply", [8, 16]);
    expect(rowsOf(chain)).toEqual([
      [0, 16, 3, 2, 18, 0],
      [288, 12, 1, 4, 20, 1],
      [528, 8, 0, 0, 16, 3],
    ]);
    expect(chain.normalized).toBe(1);
    expect(chain.steps.map(({ finish }) => finish.mask)).toEqual(["zero", "normalize", "zero"]);
    // Its statistics need the scores alone: 8 + 2 = 10 rows, in fours 12, of 18 words, 216; then 128: 344.
    expect(chainOf({ scores: TWO.slice(0, 1), weights: TWO.slice(1) }, "statistics", [8, 16]).words).toBe(
      344,
    );
  });

  test("10. rows of whole 16-byte units, an odd number of them", () => {
    // As in 6, but 2 columns become 4: 16 + 4 = 20 words are five units. 16 words are four, so a fifth follows: 20.
    // 16 · 20 = 320, 12 · 20 = 240, 8 · 20 = 160: 720.
    const chain = chainOf({ scores: TWO }, "single_pass", [8, 16], machineFor("sm_80").rows);
    expect(rowsOf(chain)).toEqual([
      [0, 16, 3, 4, 20, 0],
      [320, 12, 1, 4, 20, 1],
      [560, 8, 0, 0, 20, 3],
    ]);
    expect(chain.words).toBe(720);
  });
});
