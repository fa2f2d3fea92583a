import type { Expression, Operator, Plan, Step } from "../../../runtime/contract/index.ts";
import { type Demand, demandIn } from "./rules.ts";

/** What expressions see of a call: see `Step`. */
export const CALL_VARIABLES = [
  "B",
  "Lq",
  "Lk",
  "R",
  "H",
  "positions",
  "d_bias_batches",
  "d_bias_heads",
  "values_kept",
] as const;

const OPERANDS: Readonly<Record<Operator, readonly [least: number, most: number]>> = {
  add: [1, Number.POSITIVE_INFINITY],
  mul: [1, Number.POSITIVE_INFINITY],
  min: [1, Number.POSITIVE_INFINITY],
  max: [1, Number.POSITIVE_INFINITY],
  sub: [2, 2],
  floorDiv: [2, 2],
  ceilDiv: [2, 2],
  select: [3, 3],
};

function checkExpression(demand: Demand, expression: Expression, known: ReadonlySet<string>): void {
  if (typeof expression === "number") return;
  if (typeof expression === "string") {
    demand("variables", known.has(expression), () => `"${expression}" is not defined here`);
    return;
  }
  const [operator, ...operands] = expression;
  const [least, most] = OPERANDS[operator];
  demand(
    "variables",
    operands.length >= least && operands.length <= most,
    () => `"${operator}" has ${operands.length} operands`,
  );
  for (const operand of operands) checkExpression(demand, operand, known);
}

function checkDistinct(demand: Demand, what: string, names: readonly string[]): void {
  for (const [index, name] of names.entries())
    demand("names", name !== "" && names.indexOf(name) === index, () => `${what} "${name}" is there twice`);
}

function checkSteps(plan: Plan, steps: readonly Step[], known: ReadonlySet<string>): void {
  for (const step of steps) {
    if (step.kind === "loop") {
      const demand = demandIn(plan, null);
      for (const bound of [step.from, step.to, step.by]) checkExpression(demand, bound, known);
      demand(
        "names",
        !known.has(step.variable),
        () => `the loop over "${step.variable}" hides another value`,
      );
      checkSteps(plan, step.body, new Set([...known, step.variable]));
      continue;
    }
    const demand = demandIn(plan, step.kernel);
    for (const expression of [...step.grid, step.multiplyAdds, ...Object.values(step.launch)])
      checkExpression(demand, expression, known);
  }
}

/** Names of kernels, buffers and values, and every expression's variables. */
export function verifyNames(plan: Plan): void {
  const demand = demandIn(plan, null);
  checkDistinct(
    demand,
    "the kernel",
    plan.kernels.map(({ name }) => name),
  );
  checkDistinct(
    demand,
    "the entry point",
    plan.kernels.map(({ file, entryPoint }) => `${file} ${entryPoint}`),
  );
  checkDistinct(
    demand,
    "the buffer",
    plan.workspace.map(({ name }) => name),
  );
  checkDistinct(demand, "the value", [...CALL_VARIABLES, ...plan.definitions.map(({ name }) => name)]);
  const known = new Set<string>(CALL_VARIABLES);
  for (const { name, value } of plan.definitions) {
    checkExpression(demand, value, known);
    known.add(name);
  }
  for (const { bytes } of plan.workspace) checkExpression(demand, bytes, known);
  for (const { name, overrides } of plan.kernels)
    for (const value of Object.values(overrides)) checkExpression(demandIn(plan, name), value, known);
  checkSteps(plan, plan.steps, known);
}
