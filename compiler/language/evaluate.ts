import type { Span } from "./attention.ts";
import type { DiagnosticCode, Reporter } from "./diagnostics.ts";
import { describeCycle, type Scope } from "./names.ts";
import type { Range } from "./ranges.ts";
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

/** Evaluates expressions exactly. Null means that there is no value and that the reason is reported. */
export class Evaluator {
  private readonly scope: Scope;
  private readonly reporter: Reporter;
  private readonly known = new Map<ConstNode, Rational | null>();
  /** Constants that wait for one another, in that order. */
  private readonly pending = new Set<ConstNode>();

  constructor(scope: Scope, reporter: Reporter) {
    this.scope = scope;
    this.reporter = reporter;
  }

  /** The value of a constant, computed when it is first needed, so that declarations may come in any order. */
  constant(node: ConstNode): Rational | null {
    const known = this.known.get(node);
    if (known !== undefined) return known;
    if (this.pending.has(node)) {
      this.reportCycle(node);
      return null;
    }
    return this.settle(node);
  }

  /** A loop, not recursion: a chain of constants may be as long as a file. */
  private settle(start: ConstNode): Rational | null {
    const waiting = [{ node: start, needs: this.constantsIn(start.value) }];
    this.pending.add(start);
    for (let last = waiting.at(-1); last !== undefined; last = waiting.at(-1)) {
      const next = last.needs.pop();
      if (next !== undefined) {
        if (this.known.has(next) || this.pending.has(next)) continue;
        this.pending.add(next);
        waiting.push({ node: next, needs: this.constantsIn(next.value) });
        continue;
      }
      // What it needs is known by now, or waits for it: that is a cycle, and evaluating reports it.
      const value = this.evaluate(last.node.value);
      // A member of a cycle is known by now, as having no value.
      if (!this.known.has(last.node)) this.known.set(last.node, value);
      this.pending.delete(last.node);
      waiting.pop();
    }
    return this.known.get(start) ?? null;
  }

  /** The constants that an expression names, the first one last. */
  private constantsIn(expression: Expression): ConstNode[] {
    const found: ConstNode[] = [];
    const open = [expression];
    for (let next = open.pop(); next !== undefined; next = open.pop())
      switch (next.kind) {
        case "invalid":
        case "number":
          break;
        case "name": {
          const constant = this.scope.findConstant(next.text);
          if (constant !== null) found.push(constant);
          break;
        }
        case "negate":
          open.push(next.operand);
          break;
        case "binary":
          open.push(next.left, next.right);
      }
    return found;
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
      case "binary":
        return this.binary(expression);
    }
  }

  /** `a + b + c` groups to the left, and may be long: a loop down that side, not recursion. */
  private binary(expression: Extract<Expression, { kind: "binary" }>): Rational | null {
    const steps = [expression];
    let first = expression.left;
    for (; first.kind === "binary"; first = first.left) steps.push(first);
    let value = this.evaluate(first);
    for (const { operator, right: operand, span } of steps.toReversed()) {
      const right = this.evaluate(operand);
      value = value === null || right === null ? null : this.combine(operator, value, right, span);
    }
    return value;
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
    if (!isWithin(number, range)) {
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
    const pending = [...this.pending];
    const members = pending.slice(pending.indexOf(node));
    this.reporter.report("MTA206", node.name.span, `constants need each other: ${describeCycle(members)}`, {
      expected: "a constant that can be computed from numbers and from other constants",
    });
    for (const member of members) this.known.set(member, null);
  }

  private report(code: DiagnosticCode, span: Span, message: string, expected: string): void {
    this.reporter.report(code, span, message, { expected });
  }
}

function isWithin(number: number, { min, max, nonzero = false, below = false }: Range): boolean {
  return number >= min && number <= max && !(nonzero && number === 0) && !(below && number === max);
}

/** For example `an integer from 1 to 64`. */
export function describeRange(range: Range): string {
  const kind = range.integer ? "an integer" : "a number";
  if (range.below === true) return `${kind} from ${range.min} to below ${range.max}`;
  return `${kind} from ${range.min} to ${range.max}${range.nonzero === true ? ", but not 0" : ""}`;
}
