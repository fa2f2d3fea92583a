import type { IParserErrorMessageProvider, IRecognitionException, IToken, TokenType } from "chevrotain";
import type { Reporter } from "./diagnostics.ts";
import { after, tokenSpan } from "./span.ts";

/**
 * The grammar takes any sequence of tokens, so the parser should have nothing to complain about; if it does, it speaks
 * the language's own terms and not its library's.
 */

const SPELLING: Readonly<Record<string, string>> = {
  LBrace: "`{`",
  RBrace: "`}`",
  LParen: "`(`",
  RParen: "`)`",
  Comma: "`,`",
};

export class SpecErrorMessages implements IParserErrorMessageProvider {
  buildMismatchTokenMessage(options: { expected: TokenType }): string {
    return SPELLING[options.expected.name] ?? "another word or number";
  }

  buildNotAllInputParsedMessage(): string {
    return "a declaration";
  }

  buildNoViableAltMessage(): string {
    return "another word or number";
  }

  buildEarlyExitMessage(): string {
    return "another word or number";
  }
}

/** Turns what the parser found into a diagnostic. */
export function reportSyntaxError(
  fault: IRecognitionException,
  tokens: readonly IToken[],
  reporter: Reporter,
): void {
  const { token } = fault;
  const last = tokens.at(-1);
  if (token.tokenType.name !== "EOF" && Number.isFinite(token.startOffset)) {
    reporter.report("MTA110", tokenSpan(token), `unexpected \`${token.image}\``, { expected: fault.message });
  } else if (last !== undefined) {
    reporter.report("MTA110", after(tokenSpan(last)), "the file ends too early", { expected: fault.message });
  }
}
