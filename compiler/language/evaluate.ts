import type { Span } from "./attention.ts";
import type { DiagnosticCode, Reporter } from "./diagnostics.ts";
import type { Scope } from "./names.ts";
import {
  add,
  divide,
  isInteger,
  multiply,
  negate,
  parseRational,
  type Rational,
  subtract,
  toNumber,
} from "./rational.ts";
import type { BinaryOperator, ConstNode, Expression } from "./tree.ts";

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly integer: boolean;
  /** Zero is excluded: for ranges that lie on both sides of it. */
  readonly nonzero?: boolean;
}

/** Evaluates expressions exactly. Null means that there is no value and that the reason is reported. */
export class Evaluator {
  private readonly scope: Scope;
  private readonly reporter: Reporter;
  private readonly known = new Map<ConstNode, Rational | null>();
  private readonly pending: ConstNode[] = [];

  constructor(scope: Scope, reporter: Reporter) {
    this.scope = scope;
    this.reporter = reporter;
  }

  /** The value of a constant, computed when it is first needed, so that declarations may come in any order. */
  constant(node: ConstNode): Rational | null {
    const known = this.known.get(node);
    if (known !== undefined) return known;
    if (this.pending.includes(node)) {
      this.reportCycle(node);
      return null;
    }
    this.pending.push(node);
    const value = this.evaluate(node.value);
    this.pending.pop();
    // A member of a cycle is known by now, as having no value.
    const settled = this.known.get(node) === undefined ? value : null;
    this.known.set(node, settled);
    return settled;
  }

  evaluate(expression: Expression): Rational | null {
    switch (expression.kind) {
      case "invalid":
        return null;
      case "number":
        return this.checked(parseRational(expression.text), expression.span);
      case "name":
        return this.named(expression.text, expression.span);
      case "negate": {
        const operand = this.evaluate(expression.operand);
        return operand === null ? null : negate(operand);
      }
      case "binary": {
        const left = this.evaluate(expression.left);
        const right = this.evaluate(expression.right);
        return left === null || right === null
          ? null
          : this.combine(expression.operator, left, right, expression.span);
      }
    }
  }

  /** A number within its range, as the double that everything after the checks works with. */
  number(expression: Expression, what: string, range: Range): number | null {
    const value = this.evaluate(expression);
    if (value === null) return null;
    const number = toNumber(value);
    if (range.integer && !isInteger(value)) {
      const shown = Number.isInteger(number) ? `a little more or less than ${number}` : `${number}`;
      this.report("MTA301", expression.span, `${what} is ${shown}, not an integer`, describeRange(range));
      return null;
    }
    if (number < range.min || number > range.max || (range.nonzero === true && number === 0)) {
      this.report("MTA302", expression.span, `${what} is ${number}, outside its range`, describeRange(range));
      return null;
    }
    return number;
  }

  /** Any finite number. */
  plainNumber(expression: Expression): number | null {
    const value = this.evaluate(expression);
    return value === null ? null : toNumber(value);
  }

  private combine(operator: BinaryOperator, left: Rational, right: Rational, span: Span): Rational | null {
    switch (operator) {
      case "+":
        return this.checked(add(left, right), span);
      case "-":
        return this.checked(subtract(left, right), span);
      case "*":
        return this.checked(multiply(left, right), span);
      case "/":
        if (right.numerator !== 0n) return this.checked(divide(left, right), span);
        this.reporter.report("MTA307", span, "this divides by zero");
        return null;
    }
  }

  private checked(value: Rational | null, span: Span): Rational | null {
    if (value === null) {
      const expected = "a number that a 64-bit float can hold";
      this.reporter.report("MTA308", span, "this number is too large, or has too many digits", { expected });
    }
    return value;
  }

  private named(name: string, span: Span): Rational | null {
    const found = this.scope.lookUp(name, "const", span, "MTA205", "constant");
    return found === null ? null : this.constant(found);
  }

  private reportCycle(node: ConstNode): void {
    const members = this.pending.slice(this.pending.indexOf(node));
    const names = [...members, node].map((member) =>
      member.name.kind === "name" ? `\`${member.name.text}\`` : "?",
    );
    this.reporter.report("MTA206", node.name.span, `constants need each other: ${names.join(" → ")}`, {
      expected: "a constant that can be computed from numbers and from other constants",
    });
    for (const member of members) this.known.set(member, null);
  }

  private report(code: DiagnosticCode, span: Span, message: string, expected: string): void {
    this.reporter.report(code, span, message, { expected });
  }
}

/** For example `an integer from 1 to 64`. */
export function describeRange(range: Range): string {
  const kind = range.integer ? "an integer" : "a number";
  return `${kind} from ${range.min} to ${range.max}${range.nonzero === true ? ", but not 0" : ""}`;
}
