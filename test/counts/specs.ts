/** What `npm run counts` counts: the paper's stages one by one and together, f16, causal. */
export interface CountedSpec {
  readonly name: string;
  readonly text: string;
  readonly headDim: number;
  /** Most estimated cycles per visible score, or null where none is set. */
  readonly bound: number | null;
}

/** Bounds of plain attention per visible score, by head size. */
const PLAIN: Readonly<Record<number, number>> = { 64: 0.15, 96: 0.22, 128: 0.29 };
/** Bounds of the convolution before the softmax, as multiples of those. */
const PRE: Readonly<Record<number, number>> = { 64: 2.4, 96: 2, 128: 1.8 };
/** And of the whole pipeline at head size 96. */
const FULL = 4;

function spec(heads: number, headDim: number, sections: string): string {
  return `attention counted {\n  heads ${heads}\n  head_dim ${headDim}\n  mask causal\n  dtype f16\n  ${sections}\n}\n`;
}

export function countedSpecs(headDim: number): CountedSpec[] {
  const plain = PLAIN[headDim] ?? null;
  const pre = plain === null ? null : plain * (PRE[headDim] ?? Number.POSITIVE_INFINITY);
  const full = plain !== null && headDim === 96 ? plain * FULL : null;
  const one = (name: string, heads: number, sections: string, bound: number | null): CountedSpec => ({
    name,
    text: spec(heads, headDim, sections),
    headDim,
    bound,
  });
  return [
    one("plain", 2, "", plain),
    one("pre 6x11", 2, "scores { conv 6x11 }", pre),
    one("pre 1x11", 2, "scores { conv 1x11 }", null),
    one("pre 1x11 left", 2, "scores { conv 1x11 pad_key left }", null),
    one("post 6x11", 2, "weights { conv 6x11 }", null),
    one("pre and post", 2, "scores { conv 6x11 }\n  weights { conv 6x11 }", null),
    one("mix 16", 16, "scores { mix 16 }\n  weights { mix 16 }", null),
    one(
      "full 830M",
      16,
      "scores { conv 6x11  mix 16 }\n  weights { conv 6x11  mix 16 }\n  output { norm  gate }",
      full,
    ),
  ];
}
