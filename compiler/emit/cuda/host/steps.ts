import { isName } from "../../../../runtime/contract/expand.ts";
import type { Expression, KernelPlan, Plan, Step } from "../../../../runtime/contract/index.ts";
import { DISPATCH_FIELDS } from "../../../../runtime/contract/launch.ts";
import { HOST_EXPRESSIONS, printExpression, variablesOf } from "../../dialect/expression.ts";
import { equal, simplify } from "../../dialect/simplify.ts";

const print = (expression: Expression): string => printExpression(expression, HOST_EXPRESSIONS);

/** Variables that every plan may name. */
const CALL_VARIABLES = {
  B: "call.batches",
  Lq: "call.query_rows",
  Lk: "call.key_rows",
  R: "call.history_rows",
  positions: "call.positions != nullptr ? 1 : 0",
} as const;

/** Definitions of the plan's names that `used` needs, in order, as C++ statements. */
export function printDefinitions(plan: Plan, used: readonly Expression[]): string[] {
  const needed = new Set(used.flatMap((each) => variablesOf(simplify(each))));
  const definitions = plan.definitions.toReversed().filter(({ name, value }) => {
    if (!needed.has(name)) return false;
    for (const variable of variablesOf(simplify(value))) needed.add(variable);
    return true;
  });
  const names = [
    ...Object.entries(CALL_VARIABLES).map(([name, text]) => ({ name, text })),
    { name: "H", text: String(plan.pipeline.heads) },
  ].filter(({ name }) => needed.has(name));
  return [
    ...names.map(({ name, text }) => `const long long ${name} = ${text};`),
    ...definitions.toReversed().map(({ name, value }) => `const long long ${name} = ${print(value)};`),
  ];
}

/** All expressions of steps, so that what they name is defined. */
export function expressionsOf(steps: readonly Step[]): readonly Expression[] {
  return steps.flatMap((step) =>
    step.kind === "dispatch"
      ? [...step.grid, ...Object.values(step.launch)]
      : [step.from, step.to, step.by, ...expressionsOf(step.body)],
  );
}

/** The loops and launches of a plan as C++ statements. */
export function printSteps(
  plan: Plan,
  kernelArguments: (kernel: KernelPlan) => string,
  steps: readonly Step[] = plan.steps,
): string[] {
  // Launches beside each other share a launch block: each sets what differs.
  const current = new Map<string, string>();
  return steps.flatMap((step) => {
    if (step.kind === "dispatch") {
      const first = current.size === 0 ? ["Launch launch = common;"] : [];
      return [...first, ...printDispatch(plan, step, kernelArguments, current)];
    }
    const from = print(step.from);
    const body = printSteps(plan, kernelArguments, step.body);
    const { variable } = step;
    if (isName(step)) return [`const long long ${variable} = ${from};`, ...body];
    const rounds = `long long ${variable} = ${from}; ${variable} < ${print(step.to)}; ${variable} += ${print(step.by)}`;
    return [`for (${rounds}) {`, ...body, "}"];
  });
}

function printDispatch(
  plan: Plan,
  step: Step & { readonly kind: "dispatch" },
  kernelArguments: (kernel: KernelPlan) => string,
  current: Map<string, string>,
): string[] {
  const kernel = plan.kernels.find(({ name }) => name === step.kernel);
  if (kernel === undefined) throw new RangeError(`the plan dispatches an unknown kernel "${step.kernel}"`);
  const fields = DISPATCH_FIELDS.flatMap(([field, type]) => {
    const given = step.launch[field];
    // A kernel that is not given a field does not read it.
    if (given === undefined) return [];
    const value = print(given);
    // The common block is zero there.
    if ((current.get(field) ?? "0") === value) {
      current.set(field, value);
      return [];
    }
    current.set(field, value);
    const cast = /^-?\d+$/.test(value)
      ? value
      : `static_cast<${type === "u32" ? "unsigned" : "int"}>(${value})`;
    return [`launch.${field} = ${cast};`];
  });
  const [x, y, z] = step.grid.map((each) => print(withLaunchRows(each, step.launch)));
  const kernelName = `${kernel.name}::${kernel.entryPoint}`;
  const blocks = `{${x}, ${y}, ${z}}, ${kernel.workgroupSize}, ${kernel.workgroupBytes}, stream`;
  return [
    ...fields,
    `if (const int error = queue(${kernelName}, ${blocks}, ${kernelArguments(kernel)})) return error;`,
  ];
}

/** Grids count the rows that the launch block names: they say so. */
function withLaunchRows(
  expression: Expression,
  launch: (Step & { readonly kind: "dispatch" })["launch"],
): Expression {
  if (typeof expression !== "object") return expression;
  const { row_begin: begin, row_end: end } = launch;
  if (begin !== undefined && end !== undefined && equal(expression, ["sub", end, begin]))
    return "launch.row_end - launch.row_begin";
  const [operator, ...operands] = expression;
  return [operator, ...operands.map((each) => withLaunchRows(each, launch))];
}
