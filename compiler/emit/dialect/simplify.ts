import type { Expression } from "../../../runtime/contract/index.ts";

/**
 * The same value in fewer words: what a plan's general form leaves over where a halo is 0 or a mask has no window. Sizes are
 * never negative.
 */
export function simplify(expression: Expression): Expression {
  if (typeof expression !== "object") return expression;
  const [operator, ...given] = expression;
  const operands = given.map(simplify);
  const [first = 0, second = 0, third = 0] = operands;
  switch (operator) {
    case "add": {
      const terms = operands
        .flatMap((each) => (typeof each === "object" && each[0] === "add" ? operandsOf(each) : [each]))
        .filter((each) => each !== 0);
      return terms.length < 2 ? (terms[0] ?? 0) : ["add", ...terms];
    }
    case "sub":
      return second === 0 ? first : ["sub", first, second];
    case "mul": {
      if (operands.includes(0)) return 0;
      const factors = operands.filter((each) => each !== 1);
      return factors.length < 2 ? (factors[0] ?? 1) : ["mul", ...factors];
    }
    case "floorDiv":
    case "ceilDiv":
      return first === 0 || second === 1 ? first : [operator, first, second];
    case "min":
    case "max": {
      const flat = operands.flatMap((each) =>
        typeof each === "object" && each[0] === operator ? operandsOf(each) : [each],
      );
      const distinct = flat.filter((each, index) => flat.findIndex((other) => equal(each, other)) === index);
      if (operator === "min" && distinct.includes(0) && distinct.every(isSize)) return 0;
      return distinct.length === 1 ? (distinct[0] ?? 0) : [operator, ...distinct];
    }
    case "select":
      return equal(second, third) ? second : ["select", first, second, third];
  }
}

/** The plan's expressions are JSON: equal ones read the same. */
export function equal(a: Expression, b: Expression): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whether a value is a size or a sum of sizes: not negative. */
function isSize(expression: Expression): boolean {
  if (typeof expression === "number") return expression >= 0;
  if (typeof expression === "string") return ["B", "Lq", "Lk", "R", "H"].includes(expression);
  return expression[0] === "add" && operandsOf(expression).every(isSize);
}

function operandsOf(expression: Exclude<Expression, number | string>): readonly Expression[] {
  const [, ...operands] = expression;
  return operands;
}
