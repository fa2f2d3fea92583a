import { describeRange } from "../language/evaluate.ts";
import { POINTWISE, POINTWISE_KINDS, type PointwiseKind } from "../language/pointwise.ts";
import { RANGES, type Range } from "../language/ranges.ts";
import type {
  DECLARATIONS,
  GATE_MODES,
  INITIALIZERS,
  MASK_WORDS,
  ModifierWord,
  NORMALIZERS,
  PAD_KEYS,
  PAD_QUERIES,
  PropertyName,
  SectionName,
  STACK_CLAUSES,
  STORAGE_TYPES,
  StageKind,
  TUNE_CLAUSES,
} from "../language/words.ts";

/** What a word of the language means: hover and completion both take it from here. */
export interface WordText {
  /** How it is written, with what follows it. */
  readonly usage: string;
  /** One or two sentences, in Markdown. */
  readonly meaning: string;
  /** For example `an integer from 1 to 64`. */
  readonly range?: string;
  /** What holds where the word is not written. */
  readonly default?: string;
  /**
   * What completion inserts; the word alone where there is none. `<16>` is a place to fill in, `<both|left>` one with choices, `<>`
   * an empty one.
   */
  readonly snippet?: string;
}

type Words<T extends string> = Readonly<Record<T, WordText>>;
type WordOf<T extends readonly string[]> = T[number];

function sized(usage: string, meaning: string, range: Range, more: Partial<WordText> = {}): WordText {
  return { usage, meaning, range: describeRange(range), ...more };
}

const DECLARATION_TEXTS: Words<WordOf<typeof DECLARATIONS>> = {
  attention: {
    usage: "attention NAME [extends BASE] { … }",
    meaning: "Declares an attention: its sizes, its mask, and the stages on scores, weights and output.",
    snippet:
      "attention <name> {\n  heads     <16>\n  head_dim  <64>\n\n  scores   { <conv 6x11   mix 16> }\n  weights  { <> }\n  output   { <> }\n}",
  },
  stack: {
    usage: "stack NAME { layers N  use ATTENTION at LIST  use ATTENTION otherwise }",
    meaning:
      "Says which layer of a model uses which attention. Every layer is covered exactly once; layers with equal attentions share kernels.",
    snippet: "stack <model> {\n  layers <24>\n  use <> otherwise\n}",
  },
  const: {
    usage: "const NAME = EXPR",
    meaning: "Names a number. The name, or `(EXPR)` with it, may stand wherever a number may.",
    snippet: "const <name> = <16>",
  },
  tune: {
    usage: "tune ATTENTION { lengths INT, …  batch INT, …  sweep KNOB VALUE, … }",
    meaning: "The shapes and the planner's knobs that `mtac tune` sweeps for one attention.",
    snippet: "tune <name> {\n  lengths <1024>\n}",
  },
};

const PROPERTY_TEXTS: Words<PropertyName> = {
  heads: sized("heads N", "The number of query heads H.", RANGES.heads, {
    default: "none: it is required",
    snippet: "heads <16>",
  }),
  kv_heads: sized(
    "kv_heads N",
    "The number of key/value heads, a divisor of `heads`: groups of query heads share one (grouped-query attention).",
    RANGES.heads,
    { default: "`heads`", snippet: "kv_heads <4>" },
  ),
  head_dim: sized("head_dim N", "D, the size of a head of q and k.", RANGES.headSize, {
    default: "none: it is required",
    snippet: "head_dim <64>",
  }),
  value_dim: sized("value_dim N", "Dv, the size of a head of v and o.", RANGES.headSize, {
    default: "`head_dim`",
    snippet: "value_dim <64>",
  }),
  scale: sized(
    "scale X  |  scale rsqrt(head_dim)",
    "The factor of the scores: S = scale · q·kᵀ.",
    RANGES.scale,
    { default: "`rsqrt(head_dim)`", snippet: "scale <rsqrt(head_dim)>" },
  ),
  dtype: {
    usage: "dtype f32|f16|bf16",
    meaning: "How q, k, v and o are stored. Accumulation and parameters are f32 in any case.",
    default: "`f32`",
    snippet: "dtype <f16|bf16|f32>",
  },
  mask: {
    usage: "mask TERM…",
    meaning: "Which keys a row sees: those that all terms allow. `none` stands alone.",
    default: "`causal`",
    snippet: "mask <causal>",
  },
  normalize: {
    usage: "normalize softmax|sparsemax",
    meaning: "What turns a row of scores into weights, over its visible keys.",
    default: "`softmax`",
    snippet: "normalize <softmax|sparsemax>",
  },
};

const SECTION_TEXTS: Words<SectionName> = {
  scores: {
    usage: `scores { conv mix ${POINTWISE_KINDS.join(" ")} … }`,
    meaning:
      "Stages on the scores before the softmax, in the order written. An empty section clears an inherited one.",
    default: "no stages",
    snippet: "scores { <> }",
  },
  weights: {
    usage: "weights { conv mix dropout … }",
    meaning:
      "Stages on the weights after the softmax, in the order written. Nothing is renormalised. An empty section clears an inherited one.",
    default: "no stages",
    snippet: "weights { <> }",
  },
  output: {
    usage: "output { norm gate }",
    meaning: "Stages on o after the product with v, each at most once, in the order written.",
    default: "no stages",
    snippet: "output { <> }",
  },
};

function pointwiseText(kind: PointwiseKind): WordText {
  const { operand, usage, meaning } = POINTWISE[kind];
  if (operand === null) return { usage, meaning };
  return sized(usage, meaning, operand.range, { snippet: `${kind} <${operand.example}>` });
}

const POINTWISE_TEXTS = Object.fromEntries(
  POINTWISE_KINDS.map((kind) => [kind, pointwiseText(kind)]),
) as Words<PointwiseKind>;

const STAGE_TEXTS: Words<StageKind> = {
  conv: sized(
    "conv CQxCK  |  conv (EXPR, EXPR)",
    "Key-query convolution: each entry of the map becomes a weighted sum of entries of CQ rows and CK keys around it, with a kernel of its own for each head.",
    RANGES.kernel,
    { snippet: "conv <6x11>" },
  ),
  mix: sized(
    "mix G",
    "Head mixing: the maps of G consecutive heads are mixed by a G×G matrix. G divides `heads`.",
    RANGES.group,
    { snippet: "mix <16>" },
  ),
  ...POINTWISE_TEXTS,
  dropout: sized(
    "dropout P",
    "In training calls that give `dropout_seed`, each weight is 0 with probability P, else divided by 1 − P; elsewhere nothing happens.",
    RANGES.dropout,
    { snippet: "dropout <0.1>" },
  ),
  norm: {
    usage: "norm",
    meaning: "RMS norm over `value_dim`, for each row and head, with a weight for each channel.",
  },
  gate: {
    usage: "gate [scalar|channel]",
    meaning: "Sigmoid gate: o · sigmoid(o · weightᵀ + bias).",
  },
};

const MODIFIER_TEXTS: Words<ModifierWord> = {
  pad_key: {
    usage: "pad_key both|left|right",
    meaning:
      "Where the kernel lies along the keys: around the key (CK must be odd), to its left, or to its right.",
    default: "`both`",
    snippet: "pad_key <both|left|right>",
  },
  pad_query: {
    usage: "pad_query past|both",
    meaning:
      "Where the kernel lies along the rows: on this and earlier rows, or around the row (CQ must be odd; it reads later queries).",
    default: "`past`",
    snippet: "pad_query <past|both>",
  },
  across: sized("across N", "One kernel reads N heads jointly. N divides `heads`.", RANGES.group, {
    default: "`1`",
    snippet: "across <2>",
  }),
  dilation: sized(
    "dilation QxK",
    "The distance between the kernel's taps, in rows and in keys.",
    RANGES.dilation,
    { default: "`1x1`", snippet: "dilation <1x2>" },
  ),
  bias: { usage: "bias", meaning: "Adds a learned number to each head's map.", default: "no bias" },
  shared: {
    usage: "shared",
    meaning: "One kernel serves all groups of heads.",
    default: "a kernel for each head",
  },
  init: {
    usage: "init identity|zeros|normal STD",
    meaning: "What the weight holds before training.",
    default: "`identity`",
    snippet: "init <identity>",
  },
  eps: sized("eps X", "Added to the mean square, so that it is never 0.", RANGES.eps, {
    default: "`1e-5`",
    snippet: "eps <1e-6>",
  }),
  depth_scale: {
    usage: "depth_scale",
    meaning:
      "Times 1 − λ(layer), λ = 0.8 − 0.6·exp(−0.3·layer). The layer comes from the stack, or from the run-time argument `layer`.",
    default: "no factor",
  },
  scalar: { usage: "scalar", meaning: "One gate for each head and row.", default: "this" },
  channel: { usage: "channel", meaning: "One gate for each channel.", default: "`scalar`" },
  as: {
    usage: "as NAME",
    meaning: "Names the stage: its parameters are `<section>.NAME.weight` and `.bias`.",
    default: "the kind of the stage, numbered from the second on",
    snippet: "as <name>",
  },
};

const STACK_TEXTS: Words<WordOf<typeof STACK_CLAUSES>> = {
  layers: sized("layers N", "The number of layers.", RANGES.layers, {
    default: "none: it is required",
    snippet: "layers <24>",
  }),
  use: {
    usage: "use ATTENTION at LIST  |  use ATTENTION otherwise",
    meaning: "The attention of the layers listed, or of all that no other `use` covers.",
    snippet: "use <>",
  },
};

const TUNE_TEXTS: Words<WordOf<typeof TUNE_CLAUSES>> = {
  lengths: sized("lengths INT, …", "The sequence lengths to tune for.", RANGES.lengths, {
    snippet: "lengths <1024>",
  }),
  batch: sized("batch INT, …", "The batch sizes to tune for.", RANGES.batch, { snippet: "batch <1>" }),
  sweep: {
    usage: "sweep KNOB VALUE, …",
    meaning: "Restricts one of the planner's knobs to these values; `mtac explain` lists the knobs.",
    snippet: "sweep <>",
  },
};

const STORAGE_TEXTS: Words<WordOf<typeof STORAGE_TYPES>> = {
  f32: { usage: "f32", meaning: "32-bit floats." },
  f16: {
    usage: "f16",
    meaning:
      "16-bit floats with 10 bits of fraction; native on GPUs with `shader-f16`, packed in pairs elsewhere.",
  },
  bf16: { usage: "bf16", meaning: "16-bit floats with the range of f32 and 7 bits of fraction." },
};

const NORMALIZER_TEXTS: Words<WordOf<typeof NORMALIZERS>> = {
  softmax: { usage: "softmax", meaning: "exp(z) over its sum: every visible key gets some weight." },
  sparsemax: {
    usage: "sparsemax",
    meaning:
      "The nearest point of the simplex: most keys get no weight at all. Only the schedule `staged` computes it.",
  },
};

const MASK_TEXTS: Words<WordOf<typeof MASK_WORDS>> = {
  causal: { usage: "causal", meaning: "A row sees the keys up to its own position." },
  window: sized("window N", "A row sees the keys less than N away.", RANGES.window, {
    snippet: "window <512>",
  }),
  documents: {
    usage: "documents",
    meaning: "A row sees its own document only: the int32 input `documents` [B, Lk] numbers them.",
  },
  lengths: {
    usage: "lengths",
    meaning: "The int32 input `lengths` [B] says how many keys each batch entry has.",
  },
  bias: {
    usage: "bias",
    meaning: "The float input `bias` [B or 1, H or 1, R + Lq, Lk] is added to the scores; −∞ hides a key.",
  },
  none: { usage: "none", meaning: "Every row sees every key." },
};

const PAD_KEY_TEXTS: Words<WordOf<typeof PAD_KEYS>> = {
  both: { usage: "both", meaning: "The kernel lies around the key. CK must be odd." },
  left: { usage: "left", meaning: "The kernel reads this key and earlier ones." },
  right: { usage: "right", meaning: "The kernel reads this key and later ones." },
};

const PAD_QUERY_TEXTS: Words<WordOf<typeof PAD_QUERIES>> = {
  past: { usage: "past", meaning: "The kernel reads this row and earlier ones." },
  both: {
    usage: "both",
    meaning: "The kernel lies around the row, so it reads later queries. CQ must be odd.",
  },
};

const INIT_TEXTS: Words<WordOf<typeof INITIALIZERS>> = {
  identity: { usage: "identity", meaning: "The stage changes nothing at first." },
  zeros: { usage: "zeros", meaning: "All zeros." },
  normal: sized("normal STD", "Normally distributed around 0 with this deviation.", RANGES.std, {
    snippet: "normal <0.02>",
  }),
};

const MODE_TEXTS: Words<WordOf<typeof GATE_MODES>> = {
  scalar: MODIFIER_TEXTS.scalar,
  channel: MODIFIER_TEXTS.channel,
};

/** All words, by the part that they play: one word may play several. */
export const WORD_TEXTS = {
  declaration: DECLARATION_TEXTS,
  property: PROPERTY_TEXTS,
  section: SECTION_TEXTS,
  stage: STAGE_TEXTS,
  modifier: MODIFIER_TEXTS,
  stack: STACK_TEXTS,
  tune: TUNE_TEXTS,
  dtype: STORAGE_TEXTS,
  normalize: NORMALIZER_TEXTS,
  mask: MASK_TEXTS,
  pad_key: PAD_KEY_TEXTS,
  pad_query: PAD_QUERY_TEXTS,
  init: INIT_TEXTS,
  mode: MODE_TEXTS,
  scale: {
    rsqrt: {
      usage: "rsqrt(head_dim)",
      meaning: "1 / √head_dim, whatever `head_dim` an heir has.",
      snippet: "rsqrt(head_dim)",
    },
  },
  rsqrt: { head_dim: PROPERTY_TEXTS.head_dim },
  header: {
    extends: {
      usage: "extends BASE",
      meaning:
        "Copies every property and section of BASE; one given again replaces the inherited one whole. Defaults are filled in last.",
      snippet: "extends <>",
    },
  },
  use: {
    at: {
      usage: "at LIST",
      meaning: "Layers from 0, ranges `4..8` (both ends) and steps `every 4 from 2`, separated by commas.",
      snippet: "at <>",
    },
    otherwise: { usage: "otherwise", meaning: "All layers that no other `use` covers." },
  },
  layer: {
    every: sized("every N from LAYER", "Every N-th layer, from LAYER on.", RANGES.step, {
      snippet: "every <4> from <0>",
    }),
  },
  steps: { from: sized("from LAYER", "The first of the steps.", RANGES.layer, { snippet: "from <0>" }) },
} as const satisfies Record<string, Readonly<Record<string, WordText>>>;

export type WordPart = keyof typeof WORD_TEXTS;

/** The text of a word in one of its parts; null where it has no such part. */
export function wordText(part: WordPart, word: string): WordText | null {
  const texts: Readonly<Record<string, WordText>> = WORD_TEXTS[part];
  return Object.hasOwn(texts, word) ? (texts[word] ?? null) : null;
}

/** The text as Markdown: usage, meaning, range, default. */
export function wordMarkdown({ usage, meaning, range, default: fallback }: WordText): string {
  const facts = [
    ...(range === undefined ? [] : [`Range: ${range}.`]),
    ...(fallback === undefined ? [] : [`Default: ${fallback}.`]),
  ];
  return [`\`${usage}\``, meaning, ...(facts.length === 0 ? [] : [facts.join(" ")])].join("\n\n");
}
