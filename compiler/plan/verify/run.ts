import type { CallSize } from "../../../runtime/contract/expand.ts";
import {
  type DispatchField,
  type Expression,
  evaluate,
  type KernelPlan,
  type Plan,
  type Step,
  type Target,
  VALUES,
  type Variables,
} from "../../../runtime/contract/index.ts";
import { demandIn } from "./rules.ts";

/** Calls that every plan is tried on, cheap ones: a single row, and a few strips with history and positions. */
export const SAMPLE_CALLS: readonly CallSize[] = [
  { B: 1, Lq: 1, Lk: 1, R: 0, positions: false },
  { B: 2, Lq: 70, Lk: 133, R: 13, positions: true, dBias: [2, 1, 83, 133] },
  { B: 1, Lq: 33, Lk: 40, R: 0, positions: false, valuesKept: true },
];

/** One dispatch of a sample call. */
export interface Ran {
  readonly kernel: KernelPlan;
  readonly grid: readonly [number, number, number];
  readonly launch: Readonly<Partial<Record<DispatchField, number>>>;
  readonly variables: Variables;
}

/** What the launch block and grids hold: 32 bits. */
const MOST = 2 ** 31 - 1;
/** The largest counts of workgroups along the axes of a grid. */
const MOST_GRID = {
  webgpu: [65535, 65535, 65535],
  cuda: [MOST, 65535, 65535],
  cpu: [MOST, MOST, MOST],
} as const satisfies Record<Target, readonly number[]>;

function variablesOf(
  plan: Plan,
  { B, Lq, Lk, R, positions, dBias = [0, 0], valuesKept = false }: CallSize,
): Variables {
  const variables: Record<string, number> = {
    B,
    Lq,
    Lk,
    R,
    H: plan.pipeline.heads,
    positions: Number(positions),
    d_bias_batches: dBias[0] ?? 0,
    d_bias_heads: dBias[1] ?? 0,
    values_kept: Number(valuesKept),
  };
  for (const { name, value } of plan.definitions) variables[name] = whole(plan, null, value, variables, name);
  return variables;
}

function whole(
  plan: Plan,
  kernel: string | null,
  expression: Expression,
  variables: Variables,
  what: string,
): number {
  const value = evaluate(expression, variables);
  demandIn(plan, kernel)("values", Number.isSafeInteger(value), () => `${what} is ${value}`);
  return value;
}

function runDispatch(
  plan: Plan,
  kernels: ReadonlyMap<string, KernelPlan>,
  step: Extract<Step, { kind: "dispatch" }>,
  variables: Variables,
): Ran[] {
  const demand = demandIn(plan, step.kernel);
  const kernel = kernels.get(step.kernel);
  const value = (expression: Expression, what: string): number =>
    whole(plan, step.kernel, expression, variables, what);
  const [x, y, z] = step.grid;
  const grid = [value(x, "grid x"), value(y, "grid y"), value(z, "grid z")] as const;
  demand(
    "grid",
    grid.every((count) => count >= 0),
    () => `a grid of ${grid}`,
  );
  const most = MOST_GRID[plan.target];
  demand(
    "grid",
    grid.every((count, axis) => count <= (most[axis] ?? 0)),
    () => `a grid of ${grid}`,
  );
  const work = value(step.multiplyAdds, "multiplyAdds");
  if (kernel === undefined || grid.includes(0)) return [];
  demand("values", work >= 0, () => `${work} multiply-adds`);
  const launch = Object.fromEntries(
    Object.entries(step.launch).map(([field, expression]) => {
      const number = value(expression, field);
      demand("values", Math.abs(number) <= MOST, () => `${field} is ${number}`);
      return [field, number];
    }),
  );
  return [{ kernel, grid, launch, variables }];
}

function runSteps(
  plan: Plan,
  kernels: ReadonlyMap<string, KernelPlan>,
  steps: readonly Step[],
  variables: Variables,
): Ran[] {
  return steps.flatMap((step) => {
    if (step.kind === "dispatch") return runDispatch(plan, kernels, step, variables);
    const value = (expression: Expression, what: string): number =>
      whole(plan, null, expression, variables, `${what} of the loop over "${step.variable}"`);
    const by = value(step.by, "the step");
    demandIn(plan, null)("loops", by > 0, () => `the loop over "${step.variable}" steps by ${by}`);
    const to = value(step.to, "the end");
    const ran: Ran[] = [];
    for (let at = value(step.from, "the begin"); at < to; at += by)
      ran.push(...runSteps(plan, kernels, step.body, { ...variables, [step.variable]: at }));
    return ran;
  });
}

/** What a plan does for a call, one dispatch after the other, and the bytes of its buffers. */
export function runPlan(
  plan: Plan,
  call: CallSize,
): { readonly dispatches: readonly Ran[]; readonly buffers: ReadonlyMap<string, number> } {
  const variables = variablesOf(plan, call);
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  for (const { name, overrides } of plan.kernels)
    for (const [constant, value] of Object.entries(overrides)) whole(plan, name, value, variables, constant);
  const buffers = new Map(
    plan.workspace.map(({ name, bytes }) => {
      const size = whole(plan, null, bytes, variables, `the size of "${name}"`);
      demandIn(plan, null)("values", size > 0, () => `"${name}" has ${size} bytes`);
      return [name, size];
    }),
  );
  // Then it is the call's, and written before it.
  if (call.valuesKept === true) buffers.delete(VALUES.name);
  return { dispatches: runSteps(plan, kernels, plan.steps, variables), buffers };
}
