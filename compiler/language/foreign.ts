import type { IToken } from "chevrotain";
import type { Reporter } from "./diagnostics.ts";
import { tokenSpan } from "./span.ts";
import { DECLARATIONS, type StageKind, wordList } from "./words.ts";

/** What users know from elsewhere, and what to do about it here. */

/** What other libraries and papers call the stages: too far for a misspelling. */
export const STAGE_ALIASES: Readonly<Record<string, StageKind>> = {
  convolution: "conv",
  convolve: "conv",
  conv1d: "conv",
  conv2d: "conv",
  head_mix: "mix",
  mixing: "mix",
  head_mixing: "mix",
  soft_cap: "softcap",
  logit_softcap: "softcap",
  norm_group: "norm",
  group_norm: "norm",
  rms_norm: "norm",
  rmsnorm: "norm",
  normalization: "norm",
  gating: "gate",
};

/** What other libraries call types, masks and the like. */
export const VALUE_ALIASES: Readonly<Record<string, string>> = {
  float: "f32",
  float32: "f32",
  fp32: "f32",
  float16: "f16",
  fp16: "f16",
  half: "f16",
  bfloat16: "bf16",
  sliding_window: "window",
  sliding: "window",
  document: "documents",
  document_mask: "documents",
  segments: "documents",
  same: "both",
};

const ROPE = "apply RoPE to q and k before the call: the language has no positional encoding of its own";
const ALIBI = "write `mask causal bias` and pass ALiBi's values as the tensor `bias`";
const DROPOUT = "write `weights { dropout 0.1 }`, and give training calls a `dropout_seed`";

const ADVICE: Readonly<Record<string, string>> = {
  rope: ROPE,
  rotary: ROPE,
  rotary_embedding: ROPE,
  rotary_emb: ROPE,
  alibi: ALIBI,
  alibi_slopes: ALIBI,
  dropout_p: DROPOUT,
  attn_dropout: DROPOUT,
  attention_dropout: DROPOUT,
};

/** What to do today about something that the language does not have; null for words that mean nothing known. */
export function adviceFor(word: string): string | null {
  // The builder writes names in camel case.
  const spelled = word.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.hasOwn(ADVICE, spelled) ? (ADVICE[spelled] ?? null) : null;
}

/**
 * The first line of a module that trains the model: nothing in a spec begins a line like this. Blanks and bases are counted, so that no text
 * makes the search go over it again and again.
 */
const PYTHON =
  /^[ \t]{0,32}(?:class[ \t]{1,8}\w{1,64}[ \t]{0,8}(?:\([^)]{0,256}\)[ \t]{0,8})?:|def[ \t]{1,8}\w{1,64}[ \t]{0,8}\(|import[ \t]{1,8}\w|from[ \t]{1,8}[\w.]{1,128}[ \t]{1,8}import\b|@\w)/m;

/**
 * Says once that a text is Python, where its first word stands in such a line; everything else in it would be reported word by word.
 * @param tokens Those of the text, without comments.
 * @returns Whether it is.
 */
export function reportPython(source: string, tokens: readonly IToken[], reporter: Reporter): boolean {
  const found = PYTHON.exec(source);
  const [first] = tokens;
  if (found === null || first === undefined) return false;
  const start = found.index + found[0].search(/\S/);
  const token = tokens.find(({ startOffset }) => startOffset >= start);
  // In a comment, or after a declaration: then it is a spec, with Python words in it.
  if (token === undefined || DECLARATIONS.some((word) => first.image === word)) return false;
  reporter.report("MTA113", tokenSpan(token), "this is Python, not a spec", {
    expected: `a declaration: ${wordList(DECLARATIONS)}`,
    fix: {
      message:
        "describe what the module computes between q, k, v and o, as in `attention my_attention { heads 16 head_dim 64 scores { conv 6x11 } }`; projections stay in Python",
    },
  });
  return true;
}
