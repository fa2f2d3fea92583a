import type { DiagnosticCode } from "../language/index.ts";
import type { Advice } from "./advice.ts";

type Syntax = Extract<DiagnosticCode, `MTA1${string}`>;

/** Texts that are no spec. */
export const SYNTAX_ADVICE: Readonly<Record<Syntax, Advice>> = {
  MTA101: {
    cause: "A character stands in the spec that the language does not use, such as `:`, `;` or `.`.",
    remedy:
      "Remove it: a property and its value are separated by a blank, a range is `4..8`, a fraction has a digit before its point.",
  },
  MTA102: {
    cause: "A comment begins with `/*`, and no `*/` follows.",
    remedy: "Close it with `*/`, or use `//`, which ends with its line.",
  },
  MTA103: {
    cause: "Something begins as a number does and goes on otherwise: `4x`, `1.5.2`, `8e`.",
    remedy: "Write a number (`16`, `1e-5`) or a size (`6x11`), and a blank after it.",
  },
  MTA104: {
    cause: "A name has capital letters or other characters than a to z, digits and `_`.",
    remedy:
      "Write it in small letters, words separated by `_`: `head_dim`. Emitted TypeScript makes camelCase of it.",
  },
  MTA105: {
    cause: "A name is longer than 64 characters; functions, files and kernels are called after it.",
    remedy: "Choose a shorter one.",
  },
  MTA106: {
    cause: "A name begins with `__`, which emitted code keeps for itself.",
    remedy: "Begin it with a letter or a single `_`.",
  },
  MTA107: {
    cause: "A constant, attention or stack is called like a word of the language.",
    remedy: "Choose another name, for example with `my_` before it.",
  },
  MTA110: {
    cause:
      "The word or character does not fit here: often a value after a word that takes none, or something left over from another language.",
    remedy: "Compare the line with [the language](./language.md); the message says what was expected.",
  },
  MTA111: {
    cause: "A `{` or `(` is never closed, so that what follows seems to belong to it.",
    remedy: "Add the `}` or `)` where the message says that it is missing.",
  },
  MTA112: {
    cause: "A word that takes a value stands without one.",
    remedy: "Write the value after it, on the same line or the next.",
  },
  MTA113: {
    cause: "The word is no property, section or stage: a misspelling, or a word of another library.",
    remedy: "Take one of the words that the message lists; it names the nearest.",
  },
  MTA114: {
    cause:
      "A value is of another kind than the word takes: a size for a number, a word for a number, a number for a word.",
    remedy: "Give what the message expects: `heads 16`, `conv 6x11`, `dtype f16`.",
  },
  MTA115: {
    cause: "The word takes one of a few values, and this is none of them.",
    remedy:
      "Take one from the message's list. Position biases such as ALiBi are the mask term `bias`, with the values in a tensor.",
  },
  MTA116: {
    cause: "A declaration, `extends`, `use` or `as` lacks its name.",
    remedy: "Write the name after it: `attention my_attention { … }`.",
  },
  MTA117: {
    cause: "An attention, stack or section has no braces.",
    remedy: "Put `{` after its name and `}` at its end.",
  },
  MTA118: {
    cause: "A stage stands outside a section, or a modifier before any stage.",
    remedy:
      "Put `conv` and `mix` into `scores { }` or `weights { }`, `norm` and `gate` into `output { }`, and modifiers after their stage.",
  },
  MTA119: {
    cause:
      "Parentheses, braces or signs are nested deeper than 64, or an expression has more than 256 terms.",
    remedy: "Name parts of it with `const`.",
  },
};
