import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { childToken } from "./cst.ts";
import type { Fix, Reporter } from "./diagnostics.ts";
import { adviceFor } from "./foreign.ts";
import { after, tokenSpan } from "./span.ts";
import { suggest } from "./suggest.ts";
import { Identifier } from "./tokens.ts";
import { type Invalid, invalid, type Name } from "./tree.ts";

/** What the functions that make the tree share. */
export class BuildContext {
  readonly reporter: Reporter;
  readonly damaged: ReadonlySet<IToken>;
  readonly cutShort: boolean;
  /** Who separates by commas does so throughout: one message for all of them. */
  private hasComma = false;
  /** Braces of the latest declaration do not match: what follows it may belong inside. */
  braceTrouble = false;
  /** Between declarations, among tokens that belong to none: one message for all of them. */
  inStray = false;

  constructor(reporter: Reporter, lexed: { damaged: ReadonlySet<IToken>; cutShort: boolean }) {
    this.reporter = reporter;
    this.damaged = lexed.damaged;
    this.cutShort = lexed.cutShort;
  }

  /** Reports a comma between properties, stages or mask terms, once a file. `where` follows the comma in the message. */
  reportComma(span: Span, where = ""): void {
    if (this.hasComma) return;
    this.hasComma = true;
    this.reporter.report("MTA110", span, `unexpected \`,\`${where}`, {
      expected: "properties, stages and mask terms separated by blanks or line ends",
      fix: { message: "leave the commas out", replacement: "", span },
    });
  }
}

/** The name of a declaration or label, from the rule `declaredName`; reports a missing or reserved one. */
export function readName(
  cst: CstNode | null,
  place: Span,
  what: string,
  example: string,
  context: BuildContext,
): Name | Invalid {
  const token = cst === null ? null : childToken(cst, "InnerWord");
  const number = cst === null ? null : (childToken(cst, "Numeral") ?? childToken(cst, "Pair"));
  if (number !== null) {
    const span = tokenSpan(number);
    const expected = `a name, as in \`${example}\``;
    if (!context.damaged.has(number))
      context.reporter.report("MTA116", span, `\`${number.image}\` is no name`, { expected });
    return invalid(span);
  }
  if (token === null) {
    context.reporter.report("MTA116", place, `${what} lacks its name`, {
      expected: `a name, as in \`${example}\``,
    });
    return invalid(after(place));
  }
  const span = tokenSpan(token);
  if (token.tokenType === Identifier) return { kind: "name", text: token.image, span };
  if (!context.damaged.has(token))
    context.reporter.report("MTA107", span, `\`${token.image}\` is a reserved word and cannot be a name`, {
      fix: { message: `choose another name, for example \`my_${token.image}\`` },
    });
  return invalid(span);
}

/** Adds "did you mean", or what to do without it, to a message about an unknown word. */
export function didYouMean(
  word: string,
  span: Span,
  candidates: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): { fix?: Fix } {
  const alias = Object.hasOwn(aliases, word) ? aliases[word] : undefined;
  // The same word may stand for something in one place, and for nothing in another.
  const meant = alias !== undefined && candidates.includes(alias) ? alias : suggest(word, candidates);
  if (meant === undefined || meant === null) {
    const advice = adviceFor(word);
    return advice === null ? {} : { fix: { message: advice } };
  }
  return { fix: { message: `did you mean \`${meant}\`?`, replacement: meant, span } };
}

/** Reports an opening brace that nothing closes. `next` is what stands where the closing one is due. */
export function reportUnclosed(open: IToken, what: string, next: IToken | null, context: BuildContext): void {
  context.braceTrouble = true;
  if (next === null && context.cutShort) return;
  const where =
    next === null ? "at the end of the file" : `before \`${next.image}\` in line ${next.startLine}`;
  context.reporter.report("MTA111", tokenSpan(open), `the \`{\` of ${what} is never closed`, {
    expected: `\`}\` ${where}`,
  });
}
