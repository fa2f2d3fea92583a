import type { Expression } from "../../../../runtime/contract/index.ts";
import { simplify } from "./simplify.ts";

/** How tightly the outermost operator of a piece of C++ binds. */
const BINDING = { sum: 1, product: 2, atom: 3 } as const;
type Binding = (typeof BINDING)[keyof typeof BINDING];

interface Printed {
  readonly text: string;
  readonly binding: Binding;
}

/** A plan's expression as C++ over `long long`. Uses `ceil_div` and `floor_div` of the template. */
export function printExpression(expression: Expression): string {
  return print(simplify(expression)).text;
}

function within({ text, binding }: Printed, least: Binding): string {
  return binding >= least ? text : `(${text})`;
}

function atom(text: string): Printed {
  return { text, binding: BINDING.atom };
}

function print(expression: Expression): Printed {
  if (typeof expression === "number")
    return { text: String(expression), binding: expression < 0 ? BINDING.sum : BINDING.atom };
  // A variable, or what stands for one: `launch.row_end - launch.row_begin`.
  if (typeof expression === "string")
    return { text: expression, binding: /^[\w.]+$/.test(expression) ? BINDING.atom : BINDING.sum };
  const [operator, ...operands] = expression;
  switch (operator) {
    case "add":
      return printSum(operands);
    case "sub":
      return printDifference(operands);
    case "mul":
      return {
        text: operands.map((each) => within(print(each), BINDING.product)).join(" * "),
        binding: BINDING.product,
      };
    case "floorDiv":
      return call("floor_div", operands);
    case "ceilDiv":
      return call("ceil_div", operands);
    case "min":
      return extreme("min", operands);
    case "max":
      return extreme("max", operands);
    case "select": {
      const [condition = 0, then = 0, otherwise = 0] = operands;
      return {
        text: `${within(print(condition), BINDING.sum)} != 0 ? ${print(then).text} : ${print(otherwise).text}`,
        binding: BINDING.sum,
      };
    }
  }
}

function printSum(operands: readonly Expression[]): Printed {
  const [first = 0, ...rest] = operands.flatMap((each) =>
    // Sums in sums need no parentheses.
    typeof each === "object" && each[0] === "add" ? each.slice(1) : [each],
  ) as Expression[];
  const tail = rest.map((each) =>
    typeof each === "number" && each < 0 ? ` - ${-each}` : ` + ${within(print(each), BINDING.product)}`,
  );
  return { text: `${within(print(first), BINDING.product)}${tail.join("")}`, binding: BINDING.sum };
}

function printDifference([from = 0, taken = 0]: readonly Expression[]): Printed {
  const right = within(print(taken), BINDING.product);
  if (from === 0) return { text: `-${right}`, binding: BINDING.sum };
  if (typeof taken === "number" && taken < 0)
    return { text: `${print(from).text} + ${-taken}`, binding: BINDING.sum };
  return { text: `${print(from).text} - ${right}`, binding: BINDING.sum };
}

function call(name: string, operands: readonly Expression[]): Printed {
  return atom(`${name}(${operands.map((each) => print(each).text).join(", ")})`);
}

function extreme(name: "min" | "max", operands: readonly Expression[]): Printed {
  const printed = operands.map((each) => print(each).text);
  return atom(
    printed.length === 2
      ? `std::${name}<long long>(${printed.join(", ")})`
      : `std::${name}<long long>({${printed.join(", ")}})`,
  );
}

/** The variables that expressions name. */
export function variablesOf(expression: Expression): readonly string[] {
  if (typeof expression === "number") return [];
  if (typeof expression === "string") return [expression];
  const [, ...operands] = expression;
  return operands.flatMap(variablesOf);
}
