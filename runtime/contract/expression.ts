/**
 * Arithmetic in plans: plain JSON, so that a plan can be printed, stored and executed anywhere without code.
 * A string names a variable; `["select", c, a, b]` is a where c is not 0, else b. All values are integers.
 */
export type Expression = number | string | readonly [Operator, ...Expression[]];

/** What an expression does with its operands. */
export type Operator = "add" | "sub" | "mul" | "floorDiv" | "ceilDiv" | "min" | "max" | "select";

/** Values by name: the sizes of a call, for example. */
export type Variables = Readonly<Record<string, number>>;

/**
 * The value of an expression, a whole number.
 *
 * @throws RangeError when a variable is unknown: a plan is made by the planner, so this is a defect, not user input.
 */
export function evaluate(expression: Expression, variables: Variables): number {
  if (typeof expression === "number") return expression;
  if (typeof expression === "string") {
    const value = variables[expression];
    if (value === undefined) throw new RangeError(`the plan names an unknown variable "${expression}"`);
    return value;
  }
  const [operator, ...operands] = expression;
  const values = operands.map((operand) => evaluate(operand, variables));
  const at = (index: number): number => {
    const value = values[index];
    if (value === undefined) throw new RangeError(`the plan's operator "${operator}" lacks operand ${index}`);
    return value;
  };
  switch (operator) {
    case "add":
      return values.reduce((sum, value) => sum + value, 0);
    case "sub":
      return at(0) - at(1);
    case "mul":
      return values.reduce((product, value) => product * value, 1);
    case "floorDiv":
      return Math.floor(at(0) / at(1));
    case "ceilDiv":
      return Math.ceil(at(0) / at(1));
    case "min":
      return Math.min(...values);
    case "max":
      return Math.max(...values);
    case "select":
      return at(0) !== 0 ? at(1) : at(2);
  }
}
