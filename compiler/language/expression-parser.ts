import { type CstNode, CstParser, type ParserMethod, type TokenType, tokenMatcher } from "chevrotain";
import { POINTWISE, POINTWISE_KINDS } from "./pointwise.ts";
import { SpecErrorMessages } from "./syntax-errors.ts";
import {
  Comma,
  Identifier,
  InnerWord,
  keyword,
  LParen,
  Minus,
  Numeral,
  Operator,
  Pair,
  Plus,
  RParen,
  Slash,
  Star,
  StorageWord,
  TOKENS,
  Word,
} from "./tokens.ts";

/** Words that a value must follow. */
const EXPECTS_VALUE: ReadonlySet<TokenType> = new Set(
  [
    "heads",
    "kv_heads",
    "head_dim",
    "value_dim",
    "scale",
    "window",
    "mix",
    ...POINTWISE_KINDS.filter((kind) => POINTWISE[kind].operand !== null),
    "dropout",
    "across",
    "normal",
    "eps",
  ].map(keyword),
);

type Options = { readonly validate: boolean };

export type Rule = ParserMethod<[], CstNode>;

/** The part of the grammar that every block shares: numbers, expressions and whatever else can stand as a value. */
export class ExpressionParser extends CstParser {
  constructor(options: Options) {
    super(TOKENS, {
      recoveryEnabled: true,
      maxLookahead: 1,
      skipValidations: !options.validate,
      errorMessageProvider: new SpecErrorMessages(),
    });
  }

  /**
   * Whether a name that comes next is still a value of the clause before it. A name can also be a misspelled property
   * or stage (`dtype f16 haeds 4`), so it counts only where a value is due, or beside a word on the same line.
   */
  protected isOperandHere(): boolean {
    if (this.LA(1).tokenType !== Identifier) return true;
    const before = this.LA(0);
    if (EXPECTS_VALUE.has(before.tokenType) || tokenMatcher(before, Operator)) return true;
    const afterWord = tokenMatcher(before, Word) && before.startLine === this.LA(1).startLine;
    return afterWord && (before.tokenType !== Identifier || !tokenMatcher(this.LA(-1), Word));
  }

  /** One number of a list: lists need commas, so values cannot be ambiguous there. */
  protected readonly value: Rule = this.RULE("value", () => {
    this.OR([
      { ALT: () => this.CONSUME(Numeral) },
      { ALT: () => this.CONSUME(Identifier) },
      // `sweep scores_storage f16, f32`
      { ALT: () => this.CONSUME(StorageWord) },
      { ALT: () => this.SUBRULE(this.group) },
    ]);
  });

  protected readonly operand: Rule = this.RULE("operand", () => {
    this.OR([
      { ALT: () => this.CONSUME(Numeral) },
      { ALT: () => this.CONSUME(Pair) },
      { ALT: () => this.SUBRULE(this.group) },
      { ALT: () => this.CONSUME(Operator) },
      { ALT: () => this.CONSUME(RParen) },
    ]);
  });

  protected readonly group: Rule = this.RULE("group", () => {
    this.CONSUME(LParen);
    this.SUBRULE(this.expression);
    this.MANY(() => {
      this.CONSUME(Comma);
      this.SUBRULE1(this.expression);
    });
    this.OPTION(() => this.CONSUME(RParen));
  });

  protected readonly expression: Rule = this.RULE("expression", () => {
    this.SUBRULE(this.term);
    this.MANY(() => {
      this.OR([{ ALT: () => this.CONSUME(Plus) }, { ALT: () => this.CONSUME(Minus) }]);
      this.SUBRULE1(this.term);
    });
  });

  protected readonly term: Rule = this.RULE("term", () => {
    this.SUBRULE(this.factor);
    this.MANY(() => {
      this.OR([{ ALT: () => this.CONSUME(Star) }, { ALT: () => this.CONSUME(Slash) }]);
      this.SUBRULE1(this.factor);
    });
  });

  /** Nothing at all is a factor too: a missing number. */
  protected readonly factor: Rule = this.RULE("factor", () => {
    this.OPTION(() => {
      this.OR([
        { ALT: () => this.SUBRULE(this.negation) },
        { ALT: () => this.CONSUME(Numeral) },
        // A reserved word is reported where the expression is built: only `rsqrt(head_dim)` may hold one.
        { ALT: () => this.CONSUME(InnerWord) },
        { ALT: () => this.SUBRULE(this.parenthesized) },
      ]);
    });
  });

  protected readonly negation: Rule = this.RULE("negation", () => {
    this.CONSUME(Minus);
    this.SUBRULE(this.factor);
  });

  protected readonly parenthesized: Rule = this.RULE("parenthesized", () => {
    this.CONSUME(LParen);
    this.SUBRULE(this.expression);
    this.OPTION(() => this.CONSUME(RParen));
  });
}
