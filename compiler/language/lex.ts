import { createTokenInstance, type IToken, Lexer } from "chevrotain";
import type { Reporter } from "./diagnostics.ts";
import { checkName, normalizedWord } from "./identifier.ts";
import { spanAt, tokenSpan } from "./span.ts";
import { Identifier, MalformedNumber, MalformedWord, Numeral, Pair, TOKENS, wordType } from "./tokens.ts";

export interface LexedSource {
  readonly tokens: IToken[];
  readonly comments: readonly IToken[];
  /** Tokens that stand for malformed text: reported already, so that what is made of them is not checked. */
  readonly damaged: ReadonlySet<IToken>;
  /** A comment without an end swallowed the rest of the file: what seems missing after it may be in it. */
  readonly cutShort: boolean;
}

let lexer: Lexer | null = null;

function specLexer(): Lexer {
  // Validation walks over all patterns; a test runs it, users need not pay for it.
  lexer ??= new Lexer(TOKENS, { positionTracking: "full", skipValidations: true });
  return lexer;
}

/** Splits a source into tokens and reports what is no token; malformed words and numbers are mended, so that parsing goes on. */
export function lex(source: string, reporter: Reporter): LexedSource {
  const result = specLexer().tokenize(source);
  const damaged = new Set<IToken>();
  for (const fault of result.errors) {
    reportStray(source.slice(fault.offset, fault.offset + fault.length), fault.offset, source, reporter);
  }
  const broken = result.groups["broken"] ?? [];
  for (const comment of broken) {
    const { start } = tokenSpan(comment);
    reporter.report("MTA102", spanAt(source, start, start + 2), "this comment has no end", {
      expected: "`*/`",
    });
  }
  const tokens = result.tokens.map((token) => mend(token, damaged, reporter));
  return { tokens, comments: result.groups["comments"] ?? [], damaged, cutShort: broken.length > 0 };
}

function mend(token: IToken, damaged: Set<IToken>, reporter: Reporter): IToken {
  if (token.tokenType === MalformedNumber) return mendNumber(token, damaged, reporter);
  if (token.tokenType === MalformedWord) return mendWord(token, damaged, reporter);
  if (token.tokenType === Identifier) checkName(token.image, tokenSpan(token), reporter);
  return token;
}

function mendNumber(token: IToken, damaged: Set<IToken>, reporter: Reporter): IToken {
  const pair = /^(\d+)[xX×](\d+)$/.exec(token.image);
  const span = tokenSpan(token);
  const fix = pair === null ? {} : suggestPair(`${pair[1]}x${pair[2]}`, token);
  reporter.report("MTA103", span, `\`${token.image}\` is no number`, {
    expected: "a number such as `16` or `1e-5`, or a size such as `6x11`, and a blank after it",
    ...fix,
  });
  const mended = replaceToken(token, /^\d+[xX×]\d/.test(token.image) ? Pair : Numeral, token.image);
  damaged.add(mended);
  return mended;
}

function suggestPair(replacement: string, token: IToken) {
  return { fix: { message: `write \`${replacement}\``, replacement, span: tokenSpan(token) } };
}

function mendWord(token: IToken, damaged: Set<IToken>, reporter: Reporter): IToken {
  const word = normalizedWord(token.image);
  const span = tokenSpan(token);
  reporter.report("MTA104", span, `\`${token.image}\` is no name or word of the language`, {
    expected: "small letters a to z, digits and `_`, beginning with a letter or `_`",
    fix: { message: `write \`${word}\``, replacement: word, span },
  });
  const mended = replaceToken(token, wordType(word), word);
  damaged.add(mended);
  return mended;
}

function replaceToken(token: IToken, type: typeof Identifier, image: string): IToken {
  const { startOffset, endOffset, startLine, endLine, startColumn, endColumn } = token;
  return createTokenInstance(
    type,
    image,
    startOffset,
    endOffset ?? startOffset,
    startLine ?? 1,
    endLine ?? 1,
    startColumn ?? 1,
    endColumn ?? 1,
  );
}

function reportStray(text: string, offset: number, source: string, reporter: Reporter): void {
  const span = spanAt(source, offset, offset + text.length);
  const shown = [...text].map(printable).join("");
  const fix = STRAY_FIXES.get(text);
  reporter.report(
    "MTA101",
    span,
    `\`${shown}\` means nothing in a spec`,
    fix === undefined ? {} : { fix: { message: fix } },
  );
}

const STRAY_FIXES: ReadonlyMap<string, string> = new Map([
  [":", "a property and its value are separated by a blank"],
  ["#", "a comment begins with `//`"],
  ["[", "lists are written without brackets"],
  ["]", "lists are written without brackets"],
  [".", "a range is written `4..8`, a fraction with a digit before the point: `0.5`"],
]);

/** Control characters and the like are shown by their number, so that a message cannot disturb a terminal. */
function printable(character: string): string {
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) return character;
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
