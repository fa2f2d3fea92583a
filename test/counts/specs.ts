/** What `npm run counts` counts: the paper's stages one by one and together, f16, causal, and within a window. */
export interface CountedSpec {
  readonly name: string;
  readonly text: string;
  readonly headDim: number;
  /** Most estimated cycles per visible score at any counted length, or null where none is set. */
  readonly bound: number | null;
  /** Most bytes of global memory per visible score, whole sectors, or null. */
  readonly trafficBound: number | null;
}

/** Bounds by head size 64, 96 and 128. */
type Bounds = readonly [number, number, number];
const HEAD_SIZES = [64, 96, 128];

const FULL_830M = "scores { conv 6x11  mix 16 }\n  weights { conv 6x11  mix 16 }\n  output { norm  gate }";

/** Name, heads, sections, bounds of cycles, and what differs from a causal mask. */
const COUNTED: readonly {
  readonly name: string;
  readonly heads: number;
  readonly sections: string;
  readonly bounds: Bounds | null;
  /** The same of the backward pass; where there are none, it is not counted. */
  readonly gradients?: Bounds;
  /** Of global memory: q, k, v and o move more the larger the heads, maps the same. */
  readonly trafficBound?: Bounds;
  readonly mask?: string;
}[] = [
  { name: "plain", heads: 2, sections: "", bounds: [0.145, 0.207, 0.265], gradients: [0.46, 0.63, 0.82] },
  {
    name: "pre 6x11",
    heads: 2,
    sections: "scores { conv 6x11 }",
    bounds: [0.304, 0.374, 0.445],
    gradients: [1.05, 1.25, 1.5],
  },
  { name: "pre 1x11", heads: 2, sections: "scores { conv 1x11 }", bounds: null },
  { name: "pre 1x11 left", heads: 2, sections: "scores { conv 1x11 pad_key left }", bounds: null },
  {
    name: "post 6x11",
    heads: 2,
    sections: "weights { conv 6x11 }",
    bounds: [0.39, 0.49, 0.66],
    gradients: [1, 1.17, 1.37],
  },
  {
    name: "pre and post",
    heads: 2,
    sections: "scores { conv 6x11 }\n  weights { conv 6x11 }",
    bounds: [0.7, 0.76, 0.82],
    gradients: [1.55, 1.75, 2],
  },
  {
    name: "mix 16",
    heads: 16,
    sections: "scores { mix 16 }\n  weights { mix 16 }",
    bounds: [0.31, 0.36, 0.42],
    gradients: [0.65, 0.8, 1],
  },
  {
    name: "full 830M",
    heads: 16,
    sections: FULL_830M,
    bounds: [0.56, 0.62, 0.68],
    gradients: [1.75, 1.95, 2.2],
    trafficBound: [28, 30, 32],
  },
  {
    name: "pre 6x11, window",
    heads: 2,
    sections: "scores { conv 6x11 }",
    bounds: null,
    mask: "causal window 256",
  },
  { name: "full 830M, window", heads: 16, sections: FULL_830M, bounds: null, mask: "causal window 256" },
];

/** What is counted at a head size: calls, or their gradients. */
export function countedSpecs(headDim: number, grad: boolean): CountedSpec[] {
  const at = HEAD_SIZES.indexOf(headDim);
  return COUNTED.flatMap(({ name, heads, sections, mask = "causal", ...most }) => {
    const [bounds, traffic] = grad ? [most.gradients, undefined] : [most.bounds, most.trafficBound];
    if (bounds === undefined) return [];
    const text = `attention counted {\n  heads ${heads}\n  head_dim ${headDim}\n  mask ${mask}\n  dtype f16\n  ${sections}\n}\n`;
    return [{ name, text, headDim, bound: bounds?.[at] ?? null, trafficBound: traffic?.[at] ?? null }];
  });
}
