/** A small call that shows a mistake which neither the official vectors nor a handful of random attentions show. */
export interface GradientCase {
  readonly name: string;
  /** The attention, from its mask on. */
  readonly spec: string;
  readonly heads: number;
  readonly kvHeads: number;
  /** Rows of history. */
  readonly R?: number;
  /** Whether batch entries begin at different positions. */
  readonly positions?: boolean;
  /** Whether the forward pass keeps nothing. */
  readonly forgets?: boolean;
}

export const GRADIENT_CASES: readonly GradientCase[] = [
  {
    name: "groups of mixes that take several blocks of heads",
    heads: 40,
    kvHeads: 8,
    spec: "mask causal scores { mix 20 } weights { mix 20 }",
  },
  {
    name: "masks between stages of the weights, of one head each",
    heads: 4,
    kvHeads: 2,
    R: 6,
    positions: true,
    spec: "mask causal window 9 bias weights { conv 3x3 pad_query both mix 4 conv 2x3 }",
  },
  {
    name: "documents between stages, and rows of history",
    heads: 2,
    kvHeads: 1,
    R: 7,
    positions: true,
    spec: "mask causal documents scores { conv 3x5 bias conv 2x3 } weights { conv 2x5 conv 3x1 } output { norm gate }",
  },
  {
    name: "what the output's stages are given once more, where nothing has kept it",
    heads: 2,
    kvHeads: 1,
    R: 7,
    positions: true,
    forgets: true,
    spec: "mask causal documents weights { conv 3x3 pad_query both } output { norm gate channel }",
  },
  {
    name: "kernels that groups share, across heads, dilated",
    heads: 4,
    kvHeads: 4,
    R: 4,
    spec: "mask lengths scores { conv 3x3 across 2 shared bias dilation 2x1 } weights { conv 2x3 across 2 shared bias dilation 1x2 pad_key both } output { norm depth_scale }",
  },
  {
    name: "kernels of more taps along keys than one workgroup sums",
    heads: 2,
    kvHeads: 1,
    spec: "mask none scores { conv 2x37 bias } weights { conv 1x18 pad_key left } output { gate channel norm }",
  },
  {
    name: "slopes at what each pointwise stage is given",
    heads: 2,
    kvHeads: 2,
    spec: "mask causal scores { softcap 1.5 softcap 1 conv 2x3 relu softcap 1 }",
  },
  {
    name: "dropouts before, between and after convolutions, rows of history",
    heads: 4,
    kvHeads: 2,
    R: 5,
    positions: true,
    spec: "mask causal scores { conv 2x3 mix 2 } weights { dropout 0.3 conv 3x3 dropout 0.1 mix 2 dropout 0.5 } output { norm }",
  },
  {
    name: "sparsemax over masks of one head each, and rows that see nothing",
    heads: 4,
    kvHeads: 2,
    R: 3,
    spec: "mask lengths bias normalize sparsemax scores { conv 2x3 mix 2 } weights { mix 4 conv 2x1 }",
  },
];
