import type { TokenType } from "chevrotain";
import { ExpressionParser, type Rule } from "./expression-parser.ts";
import {
  Comma,
  DotDot,
  Equals,
  Filler,
  Identifier,
  InnerWord,
  keyword,
  LBrace,
  Numeral,
  Pair,
  Parts,
  PropertyWord,
  RBrace,
  SectionWord,
} from "./tokens.ts";

/** What follows `use` when the name is missing. */
const USE_CONNECTIVES: ReadonlySet<TokenType> = new Set(["at", "otherwise", "use", "layers"].map(keyword));

/**
 * The grammar. It takes more than the language: names, values, brackets and braces may be missing, words may stand in
 * the wrong block, and `build-tree` reports that with words of its own. So a mistake costs one message and no others,
 * and Chevrotain's own recovery is only a safety net. One token of lookahead decides everywhere.
 */
export class SpecParser extends ExpressionParser {
  constructor(options: { validate: boolean }) {
    super(options);
    this.performSelfAnalysis();
  }

  readonly file: Rule = this.RULE("file", () => {
    this.MANY(() => this.SUBRULE(this.declaration));
  });

  private readonly declaration: Rule = this.RULE("declaration", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.attention) },
      { ALT: () => this.SUBRULE(this.stack) },
      { ALT: () => this.SUBRULE(this.constant) },
      { ALT: () => this.SUBRULE(this.tune) },
      { ALT: () => this.SUBRULE(this.unknownDeclaration) },
      { ALT: () => this.CONSUME(RBrace) },
    ]);
  });

  private readonly attention: Rule = this.RULE("attention", () => {
    this.CONSUME(keyword("attention"));
    this.OPTION({
      // `attention extends base`: the name is missing, it is not `extends`.
      GATE: () => !(this.LA(1).tokenType === keyword("extends") && this.LA(2).tokenType === Identifier),
      DEF: () => this.SUBRULE(this.declaredName),
    });
    this.OPTION1(() => {
      this.CONSUME(keyword("extends"));
      this.OPTION2(() => this.SUBRULE1(this.declaredName));
    });
    this.OPTION3(() => this.CONSUME(LBrace));
    this.MANY(() => this.SUBRULE(this.bodyItem));
    this.OPTION4(() => this.CONSUME(RBrace));
  });

  /** A name, or what stands in its place by mistake. */
  private readonly declaredName: Rule = this.RULE("declaredName", () => {
    this.OR([
      { ALT: () => this.CONSUME(InnerWord) },
      { ALT: () => this.CONSUME(Numeral) },
      { ALT: () => this.CONSUME(Pair) },
    ]);
  });

  private readonly bodyItem: Rule = this.RULE("bodyItem", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.property) },
      { ALT: () => this.SUBRULE(this.section) },
      { ALT: () => this.SUBRULE(this.misplacedInBody) },
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Parts.BodyOperand) },
      { ALT: () => this.SUBRULE(this.block) },
    ]);
  });

  private readonly property: Rule = this.RULE("property", () => {
    this.CONSUME(PropertyWord);
    this.MANY({ GATE: () => this.isOperandHere(), DEF: () => this.SUBRULE(this.bodyOperand) });
  });

  private readonly misplacedInBody: Rule = this.RULE("misplacedInBody", () => {
    this.OR([{ ALT: () => this.CONSUME(Identifier) }, { ALT: () => this.CONSUME(Parts.BodyMisplaced) }]);
    this.MANY({ GATE: () => this.isOperandHere(), DEF: () => this.SUBRULE(this.bodyOperand) });
    this.OPTION(() => this.SUBRULE(this.block));
  });

  private readonly bodyOperand: Rule = this.RULE("bodyOperand", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Identifier) },
      { ALT: () => this.CONSUME(Parts.BodyOperand) },
    ]);
  });

  private readonly section: Rule = this.RULE("section", () => {
    this.CONSUME(SectionWord);
    this.MANY({ GATE: () => this.isOperandHere(), DEF: () => this.SUBRULE(this.bodyOperand) });
    this.OPTION(() => {
      this.CONSUME(LBrace);
      this.MANY1(() => this.SUBRULE(this.sectionItem));
      this.OPTION1(() => this.CONSUME(RBrace));
    });
  });

  /** A stage or a modifier of the stage before it. */
  private readonly sectionItem: Rule = this.RULE("sectionItem", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.label) },
      { ALT: () => this.SUBRULE(this.sectionClause) },
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Parts.SectionOperand) },
      { ALT: () => this.SUBRULE(this.block) },
    ]);
  });

  private readonly label: Rule = this.RULE("label", () => {
    this.CONSUME(keyword("as"));
    this.OPTION(() => this.SUBRULE(this.declaredName));
  });

  private readonly sectionClause: Rule = this.RULE("sectionClause", () => {
    this.OR([
      { ALT: () => this.CONSUME(Parts.SectionHead) },
      { ALT: () => this.CONSUME(Identifier) },
      { ALT: () => this.CONSUME(Parts.SectionMisplaced) },
    ]);
    this.MANY({ GATE: () => this.isOperandHere(), DEF: () => this.SUBRULE(this.sectionOperand) });
  });

  private readonly sectionOperand: Rule = this.RULE("sectionOperand", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Identifier) },
      { ALT: () => this.CONSUME(Parts.SectionOperand) },
    ]);
  });

  private readonly stack: Rule = this.RULE("stack", () => {
    this.CONSUME(keyword("stack"));
    this.OPTION(() => this.SUBRULE(this.declaredName));
    this.OPTION1(() => this.CONSUME(LBrace));
    this.MANY(() => this.SUBRULE(this.stackItem));
    this.OPTION2(() => this.CONSUME(RBrace));
  });

  private readonly stackItem: Rule = this.RULE("stackItem", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.layerCount) },
      { ALT: () => this.SUBRULE(this.use) },
      { ALT: () => this.SUBRULE(this.misplacedInStack) },
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Parts.StackOperand) },
      { ALT: () => this.SUBRULE(this.block) },
    ]);
  });

  private readonly layerCount: Rule = this.RULE("layerCount", () => {
    this.CONSUME(keyword("layers"));
    this.OPTION(() => this.SUBRULE(this.value));
  });

  private readonly use: Rule = this.RULE("use", () => {
    this.CONSUME(keyword("use"));
    this.OPTION({
      GATE: () => !USE_CONNECTIVES.has(this.LA(1).tokenType),
      DEF: () => this.SUBRULE(this.declaredName),
    });
    this.OPTION1(() => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(keyword("at"));
            this.OPTION2(() => this.SUBRULE(this.layerList));
          },
        },
        { ALT: () => this.CONSUME(keyword("otherwise")) },
      ]);
    });
  });

  private readonly layerList: Rule = this.RULE("layerList", () => {
    this.SUBRULE(this.layerSet);
    this.MANY(() => {
      this.CONSUME(Comma);
      this.OPTION(() => this.SUBRULE1(this.layerSet));
    });
  });

  private readonly layerSet: Rule = this.RULE("layerSet", () => {
    this.OR([{ ALT: () => this.SUBRULE(this.layerSteps) }, { ALT: () => this.SUBRULE(this.layerRange) }]);
  });

  private readonly layerSteps: Rule = this.RULE("layerSteps", () => {
    this.CONSUME(keyword("every"));
    this.OPTION(() => this.SUBRULE(this.value));
    this.OPTION1(() => {
      this.CONSUME(keyword("from"));
      this.OPTION2(() => this.SUBRULE1(this.value));
    });
  });

  private readonly layerRange: Rule = this.RULE("layerRange", () => {
    this.SUBRULE(this.value);
    this.OPTION(() => {
      this.CONSUME(DotDot);
      this.OPTION1(() => this.SUBRULE1(this.value));
    });
  });

  private readonly misplacedInStack: Rule = this.RULE("misplacedInStack", () => {
    this.OR([{ ALT: () => this.CONSUME(Identifier) }, { ALT: () => this.CONSUME(Parts.StackMisplaced) }]);
    this.MANY({
      GATE: () => this.isOperandHere(),
      DEF: () => {
        this.OR1([
          { ALT: () => this.SUBRULE(this.operand) },
          { ALT: () => this.CONSUME1(Identifier) },
          { ALT: () => this.CONSUME(Parts.StackOperand) },
        ]);
      },
    });
    this.OPTION(() => this.SUBRULE(this.block));
  });

  private readonly tune: Rule = this.RULE("tune", () => {
    this.CONSUME(keyword("tune"));
    this.OPTION(() => this.SUBRULE(this.declaredName));
    this.OPTION1(() => this.CONSUME(LBrace));
    this.MANY(() => this.SUBRULE(this.tuneItem));
    this.OPTION2(() => this.CONSUME(RBrace));
  });

  private readonly tuneItem: Rule = this.RULE("tuneItem", () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.tuneClause) },
      { ALT: () => this.SUBRULE(this.misplacedInTune) },
      { ALT: () => this.SUBRULE(this.operand) },
      { ALT: () => this.CONSUME(Parts.TuneOperand) },
      { ALT: () => this.SUBRULE(this.block) },
    ]);
  });

  private readonly tuneClause: Rule = this.RULE("tuneClause", () => {
    this.OR([
      { ALT: () => this.CONSUME(keyword("lengths")) },
      { ALT: () => this.CONSUME(keyword("batch")) },
      {
        ALT: () => {
          this.CONSUME(keyword("sweep"));
          this.OPTION(() => this.CONSUME(Identifier));
        },
      },
    ]);
    this.OPTION1(() => this.SUBRULE(this.valueList));
  });

  private readonly valueList: Rule = this.RULE("valueList", () => {
    this.SUBRULE(this.value);
    this.MANY(() => {
      this.CONSUME(Comma);
      this.OPTION(() => this.SUBRULE1(this.value));
    });
  });

  private readonly misplacedInTune: Rule = this.RULE("misplacedInTune", () => {
    this.OR([{ ALT: () => this.CONSUME(Identifier) }, { ALT: () => this.CONSUME(Parts.TuneMisplaced) }]);
    this.MANY({
      GATE: () => this.isOperandHere(),
      DEF: () => {
        this.OR1([
          { ALT: () => this.SUBRULE(this.operand) },
          { ALT: () => this.CONSUME1(Identifier) },
          { ALT: () => this.CONSUME(Parts.TuneOperand) },
        ]);
      },
    });
    this.OPTION(() => this.SUBRULE(this.block));
  });

  private readonly constant: Rule = this.RULE("constant", () => {
    this.CONSUME(keyword("const"));
    this.OPTION(() => this.SUBRULE(this.declaredName));
    this.OPTION1(() => this.CONSUME(Equals));
    this.SUBRULE(this.expression);
  });

  private readonly unknownDeclaration: Rule = this.RULE("unknownDeclaration", () => {
    this.OR([
      {
        ALT: () => {
          this.AT_LEAST_ONE(() => this.CONSUME(Filler));
          this.OPTION(() => this.SUBRULE(this.block));
        },
      },
      { ALT: () => this.SUBRULE1(this.block) },
    ]);
  });

  /** Braces where none may stand, with whatever they hold. */
  private readonly block: Rule = this.RULE("block", () => {
    this.CONSUME(LBrace);
    this.MANY(() => {
      this.OR([{ ALT: () => this.CONSUME(Filler) }, { ALT: () => this.SUBRULE(this.block) }]);
    });
    this.OPTION(() => this.CONSUME(RBrace));
  });
}
