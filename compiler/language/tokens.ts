import { createToken, Lexer, type TokenType } from "chevrotain";
import {
  DECLARATIONS,
  isOneOf,
  KEYWORDS,
  MODIFIER_WORDS,
  PROPERTIES,
  SECTIONS,
  STACK_CLAUSES,
  STAGES,
  STORAGE_TYPES,
  TUNE_CLAUSES,
  VALUE_WORDS,
} from "./words.ts";

function category(name: string, parents: TokenType[] = []): TokenType {
  return createToken({ name, pattern: Lexer.NA, categories: parents });
}

// A word plays different parts in different blocks (`bias` is a mask term and a modifier), hence one category for each
// part. Together the parts of one block take in every word except the declarations: see the parser.
export const Word = category("Word");
/** Any word but those that start a declaration. */
export const InnerWord = category("InnerWord");
/** Everything but braces and the words that start a declaration: what an unknown block may hold. */
export const Filler = category("Filler");
export const Operator = category("Operator", [Filler]);

const BodyOperand = category("BodyOperand");
const BodyMisplaced = category("BodyMisplaced");
const SectionHead = category("SectionHead");
const SectionOperand = category("SectionOperand");
const SectionMisplaced = category("SectionMisplaced");
const StackOperand = category("StackOperand");
const StackMisplaced = category("StackMisplaced");
const TuneOperand = category("TuneOperand");
const TuneMisplaced = category("TuneMisplaced");
export const PropertyWord = category("PropertyWord");
export const SectionWord = category("SectionWord");
/** `f32`, `f16`, `bf16`: the only reserved words that a tuner's knob may take as values. */
export const StorageWord = category("StorageWord");

export const Parts = {
  BodyOperand,
  BodyMisplaced,
  SectionHead,
  SectionOperand,
  SectionMisplaced,
  StackOperand,
  StackMisplaced,
  TuneOperand,
  TuneMisplaced,
} as const;

export const Identifier = createToken({
  name: "Identifier",
  pattern: /[a-z_][a-z0-9_]*(?![\w$\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u1FFF\u3040-\uD7FF])/,
  categories: [Word, InnerWord, Filler],
});

/** Latin, Greek and other letters: a word to its author, though not one to the language. */
export const MalformedWord = createToken({
  name: "MalformedWord",
  pattern:
    /[A-Za-z_$\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u1FFF\u3040-\uD7FF][\w$\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u1FFF\u3040-\uD7FF]*/,
  line_breaks: false,
});

function blockPart(
  word: string,
  heads: readonly string[],
  head: TokenType | null,
  operand: TokenType,
  misplaced: TokenType,
) {
  if (isOneOf(word, heads)) return head === null ? [] : [head];
  return [isOneOf(word, VALUE_WORDS) ? operand : misplaced];
}

function partsOf(word: string): TokenType[] {
  if (isOneOf(word, DECLARATIONS)) return [Word];
  const property = isOneOf(word, PROPERTIES);
  const section = isOneOf(word, SECTIONS);
  const parts = [Word, InnerWord, Filler];
  if (property) parts.push(PropertyWord);
  if (section) parts.push(SectionWord);
  if (isOneOf(word, STORAGE_TYPES)) parts.push(StorageWord);
  parts.push(...blockPart(word, [...PROPERTIES, ...SECTIONS], null, BodyOperand, BodyMisplaced));
  // A property or section inside a section means that the section was not closed.
  if (!property && !section && word !== "as") {
    parts.push(
      ...blockPart(word, [...STAGES, ...MODIFIER_WORDS], SectionHead, SectionOperand, SectionMisplaced),
    );
  }
  parts.push(...blockPart(word, STACK_CLAUSES, null, StackOperand, StackMisplaced));
  parts.push(...blockPart(word, TUNE_CLAUSES, null, TuneOperand, TuneMisplaced));
  return parts;
}

function keywordToken(word: string): TokenType {
  return createToken({
    name: `word_${word}`,
    pattern: word,
    longer_alt: [Identifier, MalformedWord],
    categories: partsOf(word),
  });
}

const keywordTokens: ReadonlyMap<string, TokenType> = new Map(
  KEYWORDS.map((word) => [word, keywordToken(word)]),
);

/** @throws RangeError for a word that the vocabulary lacks: a defect of the grammar, found when it is built. */
export function keyword(word: string): TokenType {
  const token = keywordTokens.get(word);
  if (token === undefined) throw new RangeError(`"${word}" is no word of the language`);
  return token;
}

/** The token type of a word: its keyword's, else Identifier. */
export function wordType(word: string): TokenType {
  return keywordTokens.get(word) ?? Identifier;
}

// `(?!…)`: no identifier character and no further fraction may follow a number or a pair directly.
export const Pair = createToken({
  name: "Pair",
  pattern: /\d+x\d+(?![A-Za-z0-9_$]|\.\d)/,
  categories: [Filler],
});
export const Numeral = createToken({
  name: "Numeral",
  pattern: /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![A-Za-z0-9_$×]|\.\d)/,
  categories: [Filler],
});
export const MalformedNumber = createToken({
  name: "MalformedNumber",
  pattern: /\d+(?:[eE][+-]\d+|\.\d+|[A-Za-z0-9_$×])*/,
});
export const LBrace = createToken({ name: "LBrace", pattern: "{" });
export const RBrace = createToken({ name: "RBrace", pattern: "}" });
export const LParen = createToken({ name: "LParen", pattern: "(", categories: [Filler] });
export const RParen = createToken({ name: "RParen", pattern: ")", categories: [Filler] });
export const DotDot = createToken({ name: "DotDot", pattern: "..", categories: [Operator] });
export const Comma = createToken({ name: "Comma", pattern: ",", categories: [Operator] });
export const Equals = createToken({ name: "Equals", pattern: "=", categories: [Operator] });
export const Plus = createToken({ name: "Plus", pattern: "+", categories: [Operator] });
export const Minus = createToken({ name: "Minus", pattern: "-", categories: [Operator] });
export const Star = createToken({ name: "Star", pattern: "*", categories: [Operator] });
export const Slash = createToken({ name: "Slash", pattern: "/", categories: [Operator] });

const Blank = createToken({
  name: "Blank",
  pattern: /[ \t\r\n;\uFEFF]+/,
  group: Lexer.SKIPPED,
  line_breaks: true,
});
const LineComment = createToken({ name: "LineComment", pattern: /\/\/[^\r\n]*/, group: "comments" });
const BlockComment = createToken({
  name: "BlockComment",
  pattern: /\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\//,
  group: "comments",
  line_breaks: true,
});
const OpenComment = createToken({
  name: "OpenComment",
  pattern: /\/\*[\s\S]*/,
  group: "broken",
  line_breaks: true,
});

const CATEGORIES = [
  Word,
  InnerWord,
  Filler,
  Operator,
  PropertyWord,
  SectionWord,
  StorageWord,
  ...Object.values(Parts),
];

/** Longer words first: else `norm` would match in `normal`, and the longer alternative, an identifier, would win. */
const LONGEST_FIRST = [...keywordTokens].sort(([a], [b]) => b.length - a.length).map(([, token]) => token);

/** In the order in which they are tried. */
export const TOKENS: TokenType[] = [
  Blank,
  LineComment,
  BlockComment,
  OpenComment,
  ...LONGEST_FIRST,
  Identifier,
  MalformedWord,
  Pair,
  Numeral,
  MalformedNumber,
  LBrace,
  RBrace,
  LParen,
  RParen,
  DotDot,
  Comma,
  Equals,
  Plus,
  Minus,
  Star,
  Slash,
  ...CATEGORIES,
];
