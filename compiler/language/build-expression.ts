import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import type { BuildContext } from "./build-context.ts";
import { childNode, childNodes, childToken, childTokens, nodeSpan } from "./cst.ts";
import { joinSpans, tokenSpan } from "./span.ts";
import { Identifier } from "./tokens.ts";
import { type BinaryOperator, type Expression, invalid } from "./tree.ts";

const NOWHERE: Span = { start: 0, end: 0, line: 1, column: 1 };

/** More terms than anyone writes; it bounds the depth of the tree. */
const MAX_TERMS = 256;

export function numberFrom(token: IToken, context: BuildContext): Expression {
  const span = tokenSpan(token);
  return context.damaged.has(token) ? invalid(span) : { kind: "number", text: token.image, span };
}

/** Reads `expression`; `place` is where to report that it is missing. */
export function buildExpression(cst: CstNode, context: BuildContext, place: Span): Expression {
  return buildChain(cst, "term", ["Plus", "Minus"], context, place, (term, at) =>
    buildChain(term, "factor", ["Star", "Slash"], context, at, (factor, within) =>
      buildFactor(factor, context, within),
    ),
  );
}

/** `a + b - c` and `a * b / c`: both group to the left. */
function buildChain(
  cst: CstNode,
  operandName: string,
  operatorNames: readonly string[],
  context: BuildContext,
  place: Span,
  build: (operand: CstNode, place: Span) => Expression,
): Expression {
  const operands = childNodes(cst, operandName);
  const operators = operatorNames
    .flatMap((name) => childTokens(cst, name))
    .sort((a, b) => a.startOffset - b.startOffset);
  const first = operands[0];
  if (first === undefined) return invalid(place);
  if (operands.length > MAX_TERMS) {
    const span = nodeSpan(cst) ?? place;
    context.reporter.report("MTA119", span, "this expression is too long", {
      expected: `at most ${MAX_TERMS} terms`,
    });
    return invalid(span);
  }
  return operands.slice(1).reduce(
    (left: Expression, operand, index): Expression => {
      const token = operators[index];
      const right = build(operand, token === undefined ? place : tokenSpan(token));
      if (left.kind === "invalid" || right.kind === "invalid")
        return invalid(joinSpans(left.span, right.span));
      return {
        kind: "binary",
        operator: operatorOf(token),
        left,
        right,
        span: joinSpans(left.span, right.span),
      };
    },
    build(first, place),
  );
}

function operatorOf(token: IToken | undefined): BinaryOperator {
  switch (token?.image) {
    case "-":
      return "-";
    case "*":
      return "*";
    case "/":
      return "/";
    default:
      return "+";
  }
}

function buildFactor(cst: CstNode, context: BuildContext, place: Span): Expression {
  const negated = childNode(cst, "negation");
  if (negated !== null) return buildNegation(negated, context);
  const inner = childNode(cst, "parenthesized");
  if (inner !== null) return buildParenthesized(inner, context);
  const numeral = childToken(cst, "Numeral");
  if (numeral !== null) return numberFrom(numeral, context);
  const word = childToken(cst, "InnerWord");
  if (word !== null) return buildWord(word, context);
  context.reporter.report("MTA112", place, "a number is missing here", {
    expected: "a number, or the name of a constant",
  });
  return invalid(place);
}

function buildNegation(cst: CstNode, context: BuildContext): Expression {
  const sign = childToken(cst, "Minus");
  const factor = childNode(cst, "factor");
  if (sign === null || factor === null) return invalid(nodeSpan(cst) ?? NOWHERE);
  const operand = buildFactor(factor, context, tokenSpan(sign));
  const span = joinSpans(tokenSpan(sign), operand.span);
  return operand.kind === "invalid" ? invalid(span) : { kind: "negate", operand, span };
}

/** `( expression )`, with the parentheses in its span. */
function buildParenthesized(cst: CstNode, context: BuildContext): Expression {
  const span = nodeSpan(cst) ?? NOWHERE;
  const inner = childNode(cst, "expression");
  if (inner === null || !isClosed(cst, context)) return invalid(span);
  return { ...buildExpression(inner, context, span), span };
}

/** Reports a parenthesis that nothing closes. */
export function isClosed(cst: CstNode, context: BuildContext): boolean {
  const open = childToken(cst, "LParen");
  if (open === null || childToken(cst, "RParen") !== null) return true;
  context.reporter.report("MTA111", tokenSpan(open), "this `(` is never closed", {
    expected: "`)` after the expression",
  });
  return false;
}

function buildWord(token: IToken, context: BuildContext): Expression {
  const span = tokenSpan(token);
  if (token.tokenType === Identifier) return { kind: "name", text: token.image, span };
  context.reporter.report(
    "MTA107",
    span,
    `\`${token.image}\` is a reserved word and cannot name a constant`,
    {
      expected: "a number or the name of a constant",
    },
  );
  return invalid(span);
}

/** One value of a list: a number, a name or an expression in parentheses. */
export function buildValue(cst: CstNode, context: BuildContext, fallback: Span): Expression {
  const span = nodeSpan(cst) ?? fallback;
  const numeral = childToken(cst, "Numeral");
  if (numeral !== null) return numberFrom(numeral, context);
  const name = childToken(cst, "Identifier") ?? childToken(cst, "StorageWord");
  if (name !== null) return { kind: "name", text: name.image, span };
  const group = childNode(cst, "group");
  return group === null ? invalid(span) : buildSingleGroup(group, context, span);
}

function buildSingleGroup(group: CstNode, context: BuildContext, span: Span): Expression {
  const [only, ...others] = childNodes(group, "expression");
  if (only === undefined || !isClosed(group, context)) return invalid(span);
  if (others.length > 0) {
    context.reporter.report("MTA114", span, "a pair stands where one number is due", {
      expected: "one number",
    });
    return invalid(span);
  }
  return { ...buildExpression(only, context, span), span };
}
