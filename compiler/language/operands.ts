import type { CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { type BuildContext, didYouMean } from "./build-context.ts";
import { buildExpression, isClosed, numberFrom } from "./build-expression.ts";
import { childNode, childNodes, nodeSpan, tokensOf } from "./cst.ts";
import type { DiagnosticCode } from "./diagnostics.ts";
import { VALUE_ALIASES } from "./foreign.ts";
import { tokenSpan } from "./span.ts";
import { Identifier, Operator, Pair } from "./tokens.ts";
import { type Choice, type Expression, invalid, type Name, type PairNode } from "./tree.ts";
import { isOneOf, wordList } from "./words.ts";

/** What may follow a property, stage or modifier, before anybody asks whether it may. */
export type Operand =
  | { readonly kind: "number"; readonly value: Expression; readonly text: string; readonly span: Span }
  | { readonly kind: "pair"; readonly pair: PairNode; readonly text: string; readonly span: Span }
  | {
      readonly kind: "group";
      /** Reads what stands between the parentheses, and reports what is wrong there: only if anybody wants it. */
      readonly items: () => readonly Expression[];
      readonly text: string;
      readonly span: Span;
    }
  | { readonly kind: "word"; readonly reserved: boolean; readonly text: string; readonly span: Span }
  | { readonly kind: "operator"; readonly text: string; readonly span: Span };

/** Reads `bodyOperand`, `sectionOperand` or `operand`. */
export function readOperand(cst: CstNode, context: BuildContext): Operand | null {
  const plain = childNode(cst, "operand") ?? cst;
  const group = childNode(plain, "group");
  if (group !== null) return readGroup(group, context);
  const token = tokensOf(plain)[0];
  return token === undefined ? null : tokenOperand(token, context);
}

export function tokenOperand(token: IToken, context: BuildContext): Operand {
  const span = tokenSpan(token);
  const text = token.image;
  if (token.tokenType === Pair) return { kind: "pair", pair: readPair(token, context), text, span };
  if (token.tokenType.name === "Numeral")
    return { kind: "number", value: numberFrom(token, context), text, span };
  if (token.tokenType.CATEGORIES?.includes(Operator) || text === ")") return { kind: "operator", text, span };
  return { kind: "word", reserved: token.tokenType !== Identifier, text, span };
}

function readPair(token: IToken, context: BuildContext): PairNode {
  const span = tokenSpan(token);
  const [query = "", key = ""] = token.image.split("x");
  if (context.damaged.has(token)) return invalid(span);
  const keyAt = query.length + 1;
  const keySpan = { ...span, start: span.start + keyAt, column: span.column + keyAt };
  return {
    kind: "pair",
    query: { kind: "number", text: query, span: { ...span, end: span.start + query.length } },
    key: { kind: "number", text: key, span: keySpan },
    span,
  };
}

function readGroup(cst: CstNode, context: BuildContext): Operand | null {
  const span = nodeSpan(cst);
  if (span === null) return null;
  const text = tokensOf(cst)
    .map((token) => token.image)
    .join("");
  return { kind: "group", items: () => readGroupItems(cst, span, context), text, span };
}

function readGroupItems(cst: CstNode, span: Span, context: BuildContext): Expression[] {
  if (!isClosed(cst, context)) return [invalid(span)];
  return childNodes(cst, "expression").map((item) => buildExpression(item, context, span));
}

/** The operands of one clause, taken one after the other; `finish` reports what nobody took. */
export class Operands {
  /** The word whose value comes next: messages name it. */
  head: { readonly text: string; readonly span: Span };
  readonly context: BuildContext;
  private readonly list: readonly Operand[];
  private position = 0;

  constructor(
    head: { readonly text: string; readonly span: Span },
    list: readonly Operand[],
    context: BuildContext,
  ) {
    this.head = head;
    this.list = list;
    this.context = context;
  }

  get end(): Span {
    return this.list.at(-1)?.span ?? this.head.span;
  }

  peek(): Operand | undefined {
    return this.list[this.position];
  }

  next(): Operand | undefined {
    const operand = this.list[this.position];
    this.position += 1;
    return operand;
  }

  /** The same clause as if nothing followed. */
  none(): Operands {
    return new Operands(this.head, [], this.context);
  }

  skipRest(): void {
    this.position = this.list.length;
  }

  /** `heads = 16` and `head_dim = 64` are common slips: reported, and read on. */
  skipEquals(): void {
    const operand = this.peek();
    if (operand?.kind !== "operator" || operand.text !== "=") return;
    this.position += 1;
    this.report("MTA110", operand.span, "unexpected `=`", {
      fix: {
        message: `write the value directly after \`${this.head.text}\``,
        replacement: "",
        span: operand.span,
      },
    });
  }

  report(
    code: DiagnosticCode,
    span: Span,
    message: string,
    extras: Parameters<BuildContext["reporter"]["report"]>[3] = {},
  ): void {
    this.context.reporter.report(code, span, message, extras);
  }

  /** Reports the first operand that is left over. */
  finish(): void {
    const operand = this.peek();
    this.skipRest();
    if (operand === undefined) return;
    if (operand.kind === "operator" && /^[-+*/]$/.test(operand.text)) {
      this.report("MTA110", operand.span, `unexpected \`${operand.text}\``, {
        fix: { message: "put the expression in parentheses: `(2 * 8)`" },
      });
      return;
    }
    if (operand.text === ",") {
      this.context.reportComma(operand.span, ` after \`${this.head.text}\``);
      return;
    }
    this.report("MTA110", operand.span, `unexpected \`${operand.text}\` after \`${this.head.text}\``);
  }
}

const NUMBER = "a number, the name of a constant, or an expression in parentheses";

function missing(operands: Operands, expected: string, example: string): void {
  operands.report("MTA112", operands.head.span, `\`${operands.head.text}\` lacks its value`, {
    expected,
    fix: { message: `write, for example, \`${example}\`` },
  });
}

/** Takes one number; `owner` is what it belongs to. */
export function takeNumber(operands: Operands, example: string): Expression {
  operands.skipEquals();
  const operand = operands.peek();
  const place = operand?.span ?? operands.head.span;
  switch (operand?.kind) {
    case undefined:
      missing(operands, NUMBER, example);
      return invalid(place);
    case "number":
      operands.next();
      return operand.value;
    case "operator":
      return takeSigned(operands);
    case "group":
      operands.next();
      return onlyItem(operands, operand.items(), operand.span);
    case "pair":
      operands.skipRest();
      if (operand.pair.kind === "pair") {
        operands.report("MTA114", place, `\`${operands.head.text}\` takes one number, not a size`, {
          expected: NUMBER,
        });
      }
      return invalid(place);
    case "word":
      return takeNamedNumber(operands, operand.text, operand.reserved, place);
  }
}

function takeNamedNumber(operands: Operands, text: string, reserved: boolean, place: Span): Expression {
  operands.next();
  if (!reserved) return { kind: "name", text, span: place };
  operands.report("MTA114", place, `\`${operands.head.text}\` takes a number, not \`${text}\``, {
    expected: NUMBER,
  });
  operands.skipRest();
  return invalid(place);
}

function onlyItem(operands: Operands, items: readonly Expression[], span: Span): Expression {
  const [only, ...others] = items;
  if (only === undefined || only.kind === "invalid") {
    operands.skipRest();
    return invalid(span);
  }
  if (others.length === 0) return { ...only, span };
  operands.report("MTA114", span, `\`${operands.head.text}\` takes one number, not a pair`, {
    expected: NUMBER,
  });
  return invalid(span);
}

/** `scale -1`: signs need parentheses. */
function takeSigned(operands: Operands): Expression {
  const sign = operands.peek();
  operands.skipRest();
  if (sign === undefined) return invalid(operands.head.span);
  const fix = sign.text === "-" ? { fix: { message: "put a negative number in parentheses: `(-1)`" } } : {};
  operands.report("MTA110", sign.span, `unexpected \`${sign.text}\``, { expected: NUMBER, ...fix });
  return invalid(sign.span);
}

/** Takes `6x11` or `(EXPR, EXPR)`. */
export function takePair(operands: Operands, example: string): PairNode {
  operands.skipEquals();
  const expected = `a size such as \`${example}\`, or \`(rows, keys)\``;
  const operand = operands.next();
  if (operand === undefined) {
    missing(operands, expected, `${operands.head.text} ${example}`);
    return invalid(operands.head.span);
  }
  if (operand.kind === "pair") return operand.pair;
  if (operand.kind === "group") {
    const [query, key, ...others] = operand.items();
    if (query?.kind === "invalid" || key?.kind === "invalid") {
      operands.skipRest();
      return invalid(operand.span);
    }
    if (query !== undefined && key !== undefined && others.length === 0) {
      return { kind: "pair", query, key, span: operand.span };
    }
  }
  operands.skipRest();
  const fix = { message: `write a size as one word, without blanks or commas: \`${example}\`` };
  operands.report("MTA114", operand.span, `\`${operands.head.text}\` takes a size, not \`${operand.text}\``, {
    expected,
    ...(operand.kind === "number" ? { fix } : {}),
  });
  return invalid(operand.span);
}

/** Takes one word out of a set. */
export function takeChoice<T extends string>(operands: Operands, words: readonly T[]): Choice<T> {
  operands.skipEquals();
  const operand = operands.next();
  const expected = wordList(words);
  if (operand === undefined) {
    missing(operands, expected, `${operands.head.text} ${words[0]}`);
    return invalid(operands.head.span);
  }
  if (operand.kind === "word" && isOneOf(operand.text, words)) {
    return { kind: "choice", value: operand.text, span: operand.span };
  }
  operands.skipRest();
  reportChoice(operands, operand, words);
  return invalid(operand.span);
}

export function reportChoice(operands: Operands, operand: Operand, words: readonly string[]): void {
  const expected = wordList(words);
  if (operand.kind !== "word") {
    operands.report(
      "MTA114",
      operand.span,
      `\`${operands.head.text}\` takes a word, not \`${operand.text}\``,
      { expected },
    );
    return;
  }
  operands.report("MTA115", operand.span, `\`${operands.head.text}\` has no value \`${operand.text}\``, {
    expected,
    ...didYouMean(operand.text, operand.span, words, VALUE_ALIASES),
  });
}

/** The operands of a clause whose first token is `head`. */
export function readOperands(head: IToken, nodes: readonly CstNode[], context: BuildContext): Operands {
  const list = nodes
    .map((node) => readOperand(node, context))
    .filter((operand): operand is Operand => operand !== null);
  return new Operands({ text: head.image, span: tokenSpan(head) }, list, context);
}

export function nameOf(operand: Operand | undefined): Name | null {
  return operand?.kind === "word" && !operand.reserved
    ? { kind: "name", text: operand.text, span: operand.span }
    : null;
}
