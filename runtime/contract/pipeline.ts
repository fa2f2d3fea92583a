import type { StorageType } from "./storage.ts";

/** Where in the spec something was written: what errors and emitted comments point back to. */
export interface SourceLine {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
}

/** One term of a mask; a pair (row, key) is visible when all terms say so. None at all means that everything is. */
export type MaskTerm =
  | { readonly kind: "causal" }
  | { readonly kind: "window"; readonly size: number }
  | { readonly kind: "documents" }
  | { readonly kind: "lengths" }
  | { readonly kind: "bias" };

/** What a parameter holds before training. */
export type Initializer =
  | { readonly kind: "identity" }
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" }
  | { readonly kind: "normal"; readonly std: number };

/** A parameter tensor: f32, row-major. Names and shapes as `language.md` of the project lists them. */
export interface Parameter {
  /** For example `scores.conv.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly init: Initializer;
}

/** Y[h,i,j] = bias[h] + Σ_c Σ_a Σ_b W[h,c,a,b] · S[g(h)+c, i+(a−a0)·dq, j+(b−b0)·dk] (paper section 3.1). */
export interface ConvStage {
  readonly kind: "conv";
  /** For example `scores.conv_2`. */
  readonly name: string;
  readonly kernel: { readonly query: number; readonly key: number };
  /** (a0, b0): the tap that meets the current row and key. */
  readonly origin: { readonly query: number; readonly key: number };
  readonly dilation: { readonly query: number; readonly key: number };
  /** Heads that one kernel reads jointly: 1 is depthwise. */
  readonly across: number;
  /** One group's kernel serves all groups. */
  readonly shared: boolean;
  /** Parameter name. Shape [H, across, CQ, CK], or [across, across, CQ, CK] when shared. */
  readonly weight: string;
  /** Parameter name or null. Shape [H], or [across] when shared. */
  readonly bias: string | null;
  readonly source: SourceLine | null;
}

/** Y[o] = Σ_n W[⌊o/G⌋, o mod G, n] · S[G·⌊o/G⌋ + n] (paper section 3.2). */
export interface MixStage {
  readonly kind: "mix";
  readonly name: string;
  readonly group: number;
  /** Parameter name. Shape [H/G, G out, G in]. */
  readonly weight: string;
  readonly source: SourceLine | null;
}

/** Y = X · tanh(S / X). */
export interface SoftcapStage {
  readonly kind: "softcap";
  readonly name: string;
  readonly limit: number;
  readonly source: SourceLine | null;
}

/** Y = max(0, S). */
export interface ReluStage {
  readonly kind: "relu";
  readonly name: string;
  readonly source: SourceLine | null;
}

/**
 * In a training call that gives `dropout_seed`: 0 with probability `rate`, else divided by 1 − rate, decided for entry (b, h, i, j) by the first word of
 * Philox4x32-10 with key `dropout_seed` and counter (j, p(i), h, b) (Salmon et al. 2011). In every other call the identity.
 */
export interface DropoutStage {
  readonly kind: "dropout";
  readonly name: string;
  /** 0 ≤ rate < 1. */
  readonly rate: number;
  readonly source: SourceLine | null;
}

/** RMS norm over the value dimension, per row and head (paper section 3.3). */
export interface NormStage {
  readonly kind: "norm";
  readonly name: string;
  readonly eps: number;
  /** Times 1 − λ(layer), λ = 0.8 − 0.6·exp(−0.3·layer). */
  readonly depthScale: boolean;
  /** Parameter name. Shape [Dv]. */
  readonly weight: string;
  readonly source: SourceLine | null;
}

/** o ← o · sigmoid(o · weightᵀ + bias). */
export interface GateStage {
  readonly kind: "gate";
  readonly name: string;
  readonly mode: "scalar" | "channel";
  /** Parameter name. Shape [1 or Dv, Dv]. */
  readonly weight: string;
  /** Parameter name. Shape [1 or Dv]. */
  readonly bias: string;
  readonly source: SourceLine | null;
}

/** A stage whose entries are sums over entries of the map before it: a kernel, or a step of one. */
export type LinearStage = ConvStage | MixStage;
/** A stage whose entries depend on one entry each: it goes along with the step before it. */
export type PointwiseStage = SoftcapStage | ReluStage;
/** A stage on the scores, before the softmax. */
export type ScoreStage = LinearStage | PointwiseStage;
/** A stage on the weights, after the softmax. */
export type WeightStage = LinearStage | DropoutStage;
/** A stage on o. */
export type OutputStage = NormStage | GateStage;

/** One attention, resolved: every default filled in, every parameter named. Plain data; `semantics.md` gives its meaning. */
export interface Pipeline {
  readonly name: string;
  /** Query heads H. */
  readonly heads: number;
  /** Key/value heads Hkv, a divisor of H. */
  readonly kvHeads: number;
  /** D of q and k. */
  readonly headDim: number;
  /** Dv of v and o. */
  readonly valueDim: number;
  readonly scale: number;
  readonly storage: StorageType;
  readonly mask: readonly MaskTerm[];
  readonly normalize: "softmax" | "sparsemax";
  readonly scores: readonly ScoreStage[];
  readonly weights: readonly WeightStage[];
  readonly output: readonly OutputStage[];
  /** In the order in which the stages name them. */
  readonly parameters: readonly Parameter[];
  readonly source: SourceLine | null;
}

/** Whether a stage's entries are sums over entries of the map before it. */
export function isLinear(stage: ScoreStage | WeightStage): stage is LinearStage {
  return stage.kind === "conv" || stage.kind === "mix";
}

/** Whether a stage changes each entry by itself. */
export function isPointwise(stage: ScoreStage | WeightStage): stage is PointwiseStage {
  return stage.kind === "softcap" || stage.kind === "relu";
}

/** Whether calls may give a `dropout_seed`. */
export function hasDropout({ weights }: Pick<Pipeline, "weights">): boolean {
  return weights.some(({ kind }) => kind === "dropout");
}

/** ⌊rate · 2³²⌋: entries whose random word lies below it are dropped. */
export function dropoutThreshold({ rate }: Pick<DropoutStage, "rate">): number {
  return Math.floor(rate * 2 ** 32);
}

/** What a pipeline computes in a call that gives no `dropout_seed`; the same object where it has no dropout. */
export function withoutDropout(pipeline: Pipeline): Pipeline {
  if (!hasDropout(pipeline)) return pipeline;
  return { ...pipeline, weights: pipeline.weights.filter(({ kind }) => kind !== "dropout") };
}

/** How far a convolution reads from the entry that it writes: rows before and after, keys left and right. */
export interface Reach {
  readonly past: number;
  readonly future: number;
  readonly left: number;
  readonly right: number;
}

/** How far a convolution reads from an entry: rows back and ahead, keys to the left and to the right, dilation included. */
export function convReach(stage: ConvStage): Reach {
  const { kernel, origin, dilation } = stage;
  return {
    past: origin.query * dilation.query,
    future: (kernel.query - 1 - origin.query) * dilation.query,
    left: origin.key * dilation.key,
    right: (kernel.key - 1 - origin.key) * dilation.key,
  };
}

/** How far what passes back through a convolution reads: the other way round. */
export function adjointReach({ past, future, left, right }: Reach): Reach {
  return { past: future, future: past, left: right, right: left };
}

/** The reach of stages applied one after the other: the sum over their convolutions. */
export function totalReach(stages: readonly (ScoreStage | WeightStage)[]): Reach {
  const sum = { past: 0, future: 0, left: 0, right: 0 };
  for (const stage of stages) {
    if (stage.kind !== "conv") continue;
    const reach = convReach(stage);
    sum.past += reach.past;
    sum.future += reach.future;
    sum.left += reach.left;
    sum.right += reach.right;
  }
  return sum;
}

/** The factor 1 − λ(layer) of `norm depth_scale` (Differential Transformer's λ_init, as the paper's authors use it). */
export function depthScale(layer: number): number {
  return 1 - (0.8 - 0.6 * Math.exp(-0.3 * layer));
}

/** Whether results depend on the layer. */
export function usesLayer(pipeline: Pipeline): boolean {
  return pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale);
}

/** Whether the mask has a term of this kind. */
export function hasMask(pipeline: Pipeline, kind: MaskTerm["kind"]): boolean {
  return pipeline.mask.some((term) => term.kind === kind);
}

/** The heads that have to be computed together: the fewest neighbours that no mix and no convolution leaves. */
export function headsTogether(pipeline: Pipeline): number {
  const joined = [...pipeline.scores, ...pipeline.weights].map(headsOf);
  return joined.reduce((all, heads) => (all * heads) / gcd(all, heads), 1);
}

/** Heads of a group that a stage reads together: 1 where each is by itself. */
export function headsOf(stage: ScoreStage | WeightStage | OutputStage): number {
  switch (stage.kind) {
    case "conv":
      return stage.across;
    case "mix":
      return stage.group;
    default:
      return 1;
  }
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
