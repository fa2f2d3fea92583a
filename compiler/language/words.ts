import { POINTWISE_KINDS, type PointwiseKind } from "./pointwise.ts";

/** The language's vocabulary: one table, read by the lexer, the checks, the suggestions and the TypeScript builder. */

export const DECLARATIONS = ["attention", "stack", "const", "tune"] as const;

export const PROPERTIES = [
  "heads",
  "kv_heads",
  "head_dim",
  "value_dim",
  "scale",
  "dtype",
  "mask",
  "normalize",
] as const;
export type PropertyName = (typeof PROPERTIES)[number];

export const SECTIONS = ["scores", "weights", "output"] as const;
export type SectionName = (typeof SECTIONS)[number];

export type StageKind = "conv" | "mix" | PointwiseKind | "dropout" | "norm" | "gate";
export const STAGES: readonly StageKind[] = ["conv", "mix", ...POINTWISE_KINDS, "dropout", "norm", "gate"];

/** Words that start a modifier; `scalar` and `channel` are the two values of the modifier `mode`, which has no word. */
export const MODIFIER_WORDS = [
  "pad_key",
  "pad_query",
  "across",
  "dilation",
  "bias",
  "shared",
  "init",
  "eps",
  "depth_scale",
  "scalar",
  "channel",
  "as",
] as const;
export type ModifierWord = (typeof MODIFIER_WORDS)[number];

export const STACK_CLAUSES = ["layers", "use"] as const;
export const TUNE_CLAUSES = ["lengths", "batch", "sweep"] as const;

export const STORAGE_TYPES = ["f32", "f16", "bf16"] as const;
export const NORMALIZERS = ["softmax", "sparsemax"] as const;
export const MASK_TERMS = ["causal", "window", "documents", "lengths", "bias"] as const;
export const MASK_WORDS = [...MASK_TERMS, "none"] as const;
export const PAD_KEYS = ["both", "left", "right"] as const;
export const PAD_QUERIES = ["past", "both"] as const;
export const GATE_MODES = ["scalar", "channel"] as const;
export const INITIALIZERS = ["identity", "zeros", "normal"] as const;

/** Words that can only stand as a value (some also start a clause elsewhere). */
export const VALUE_WORDS = [
  ...STORAGE_TYPES,
  ...NORMALIZERS,
  ...MASK_WORDS,
  "rsqrt",
  "both",
  "left",
  "right",
  "past",
  ...INITIALIZERS,
  ...GATE_MODES,
] as const;

export const CONNECTIVES = ["extends", "at", "otherwise", "every", "from"] as const;

/** Every reserved word, once. */
export const KEYWORDS: readonly string[] = [
  ...new Set<string>([
    ...DECLARATIONS,
    ...PROPERTIES,
    ...SECTIONS,
    ...STAGES,
    ...MODIFIER_WORDS,
    ...STACK_CLAUSES,
    ...TUNE_CLAUSES,
    ...VALUE_WORDS,
    ...CONNECTIVES,
  ]),
];

export function isKeyword(word: string): boolean {
  return KEYWORDS.includes(word);
}

/** Where a kind of stage may stand. */
export function sectionsOf(kind: StageKind): readonly SectionName[] {
  if (isOneOf(kind, POINTWISE_KINDS)) return ["scores"];
  if (kind === "dropout") return ["weights"];
  return kind === "conv" || kind === "mix" ? ["scores", "weights"] : ["output"];
}

const STAGE_MODIFIERS: Readonly<Record<Exclude<StageKind, PointwiseKind>, readonly ModifierWord[]>> = {
  conv: ["pad_key", "pad_query", "across", "dilation", "bias", "shared", "init", "as"],
  mix: ["init", "as"],
  dropout: [],
  norm: ["eps", "depth_scale", "as"],
  gate: ["scalar", "channel", "as"],
};

/** The modifiers of a kind of stage, as they are written. */
export function modifiersOf(kind: StageKind): readonly ModifierWord[] {
  return isOneOf(kind, POINTWISE_KINDS) ? [] : STAGE_MODIFIERS[kind];
}

/** Quotes and joins words for a message: `a`, `b` or `c`. */
export function wordList(words: readonly string[], conjunction = "or"): string {
  const quoted = words.map((word) => `\`${word}\``);
  const last = quoted.at(-1) ?? "";
  return quoted.length < 2 ? last : `${quoted.slice(0, -1).join(", ")} ${conjunction} ${last}`;
}

/** True, and narrowing, when `word` is one of `words`. */
export function isOneOf<T extends string>(word: string, words: readonly T[]): word is T {
  return words.some((candidate) => candidate === word);
}

/** What other libraries call these properties: too far for a misspelling, too near to leave without a hint. */
export const PROPERTY_ALIASES: Readonly<Record<string, PropertyName>> = {
  num_heads: "heads",
  n_heads: "heads",
  n_head: "heads",
  query_heads: "heads",
  num_kv_heads: "kv_heads",
  num_key_value_heads: "kv_heads",
  dim: "head_dim",
  d_head: "head_dim",
  head_size: "head_dim",
  value_size: "value_dim",
  d_value: "value_dim",
  type: "dtype",
  storage: "dtype",
  normalization: "normalize",
  normalizer: "normalize",
};
