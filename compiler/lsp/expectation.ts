import type { WordPart } from "./word-texts.ts";

/** What may stand at a place of a spec. A place has several: after `mask causal`, another term or a property. */
export type Expectation =
  | {
      readonly kind: "words";
      readonly part: WordPart;
      /** The words of that part that fit here and are not given yet. */
      readonly words: readonly string[];
    }
  /** A number, a constant, or an expression in parentheses; `not` is the constant that is being declared. */
  | { readonly kind: "number"; readonly not: string | null }
  /** `6x11` or `(EXPR, EXPR)`. */
  | { readonly kind: "pair"; readonly of: string }
  /** The name of an attention; `not` is the one that is being declared. */
  | { readonly kind: "attention"; readonly not: string | null }
  | { readonly kind: "knob"; readonly attention: string | null }
  | { readonly kind: "knob_value"; readonly attention: string | null; readonly knob: string };

export const NUMBER: readonly Expectation[] = [{ kind: "number", not: null }];
export const NOTHING: readonly Expectation[] = [];

export function words(
  part: WordPart,
  all: readonly string[],
  given: ReadonlySet<string> = new Set(),
): Expectation {
  return { kind: "words", part, words: all.filter((word) => !given.has(word)) };
}
