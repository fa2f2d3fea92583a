import type { Expression } from "../../../runtime/contract/index.ts";
import type { Inequality } from "../../ir/index.ts";
import { simplify } from "./simplify.ts";

/** How tightly the outermost operator of a piece of text binds. */
const BINDING = { choice: 0, sum: 1, product: 2, atom: 3 } as const;
type Binding = (typeof BINDING)[keyof typeof BINDING];

interface Printed {
  readonly text: string;
  readonly binding: Binding;
}

/** How a language writes what languages write differently. `floor_div` and `ceil_div` are functions of the templates. */
export interface ExpressionDialect {
  /** The least or the largest of several values. */
  extreme(name: "min" | "max", operands: readonly string[]): string;
  /** One of two values, by a comparison. */
  select(condition: string, then: string, otherwise: string): Printed;
}

/** C++ on the host, over `long long`. */
export const HOST_EXPRESSIONS: ExpressionDialect = {
  extreme: (name, operands) => {
    const list = operands.join(", ");
    return `std::${name}<long long>(${operands.length === 2 ? list : `{${list}}`})`;
  },
  select: ternary,
};

/** Kernels in CUDA, over `int`. */
export const CUDA_EXPRESSIONS: ExpressionDialect = { extreme: nested, select: ternary };

/** Kernels in WGSL, over `i32`. */
export const WGSL_EXPRESSIONS: ExpressionDialect = {
  extreme: nested,
  select: (condition, then, otherwise) => atom(`select(${otherwise}, ${then}, ${condition})`),
};

function nested(name: string, operands: readonly string[]): string {
  return operands.reduce((left, right) => `${name}(${left}, ${right})`);
}

function ternary(condition: string, then: string, otherwise: string): Printed {
  return { text: `${condition} ? ${then} : ${otherwise}`, binding: BINDING.choice };
}

/** An expression, simplified, as text of a language; its variables stand there as it names them. */
export function printExpression(expression: Expression, dialect: ExpressionDialect): string {
  return print(simplify(expression), dialect).text;
}

/** A comparison as text of a language. */
export function printInequality(
  { left, relation, right }: Inequality<Expression>,
  dialect: ExpressionDialect,
): string {
  const side = (expression: Expression): string => within(print(simplify(expression), dialect), BINDING.sum);
  return `${side(left)} ${relation} ${side(right)}`;
}

function within({ text, binding }: Printed, least: Binding): string {
  return binding >= least ? text : `(${text})`;
}

function atom(text: string): Printed {
  return { text, binding: BINDING.atom };
}

function print(expression: Expression, dialect: ExpressionDialect): Printed {
  if (typeof expression === "number")
    return { text: String(expression), binding: expression < 0 ? BINDING.sum : BINDING.atom };
  // A variable, or what stands for one: `vec4i(position)`, or `launch.row_end - launch.row_begin`.
  if (typeof expression === "string")
    return { text: expression, binding: /^[\w.]+(\(\w+\))?$/.test(expression) ? BINDING.atom : BINDING.sum };
  const [operator, ...operands] = expression;
  const text = (index: number, least: Binding = BINDING.choice): string =>
    within(print(operands[index] ?? 0, dialect), least);
  const texts = operands.map((_, index) => text(index));
  switch (operator) {
    case "add": {
      const terms = operands.map((each, index) =>
        typeof each === "number" && each < 0 ? ` - ${-each}` : ` + ${text(index, BINDING.product)}`,
      );
      return { text: [text(0, BINDING.sum), ...terms.slice(1)].join(""), binding: BINDING.sum };
    }
    case "sub": {
      const [from = 0, taken = 0] = operands;
      const left = from === 0 ? "" : text(0, BINDING.sum);
      if (typeof taken === "number" && taken < 0)
        return { text: left === "" ? String(-taken) : `${left} + ${-taken}`, binding: BINDING.sum };
      return { text: `${left === "" ? "-" : `${left} - `}${text(1, BINDING.product)}`, binding: BINDING.sum };
    }
    case "mul":
      return {
        text: operands.map((_, index) => text(index, BINDING.product)).join(" * "),
        binding: BINDING.product,
      };
    case "floorDiv":
      return atom(`floor_div(${texts.join(", ")})`);
    case "ceilDiv":
      return atom(`ceil_div(${texts.join(", ")})`);
    case "min":
    case "max":
      return atom(dialect.extreme(operator, texts));
    case "select":
      return dialect.select(`${text(0, BINDING.sum)} != 0`, text(1), text(2));
  }
}

/** The variables that expressions name. */
export function variablesOf(expression: Expression): readonly string[] {
  if (typeof expression === "number") return [];
  if (typeof expression === "string") return [expression];
  const [, ...operands] = expression;
  return operands.flatMap(variablesOf);
}
