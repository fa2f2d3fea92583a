import { type Expression, evaluate, type Variables } from "./expression.ts";
import type { DispatchField } from "./launch.ts";
import type { KernelPlan, Plan, Step } from "./plan.ts";
import type { CallShape } from "./tensor.ts";

/** What a plan's expressions see of a call. */
export interface CallSize extends CallShape {
  /** Whether the call gives `positions`. */
  readonly positions: boolean;
  /** The shape of the gradient of `bias`, which is the bias's own: where it is asked for. */
  readonly dBias?: readonly number[] | undefined;
  /** Whether what the output's stages are given is kept (by a forward pass) or at hand (for a backward pass): see `VALUES`. */
  readonly valuesKept?: boolean;
}

/** One dispatch with all expressions evaluated. */
export interface Dispatch {
  readonly kernel: KernelPlan;
  readonly grid: readonly [number, number, number];
  readonly launch: Readonly<Partial<Record<DispatchField, number>>>;
  readonly multiplyAdds: number;
}

/** A kernel with its override constants for one call. */
export interface KernelVariant {
  readonly kernel: KernelPlan;
  readonly constants: Readonly<Record<string, number>>;
}

/** A plan applied to the size of a call: plain numbers, no loops. */
export interface ExpandedPlan {
  readonly workspace: readonly { readonly name: string; readonly bytes: number }[];
  readonly dispatches: readonly Dispatch[];
  /** The kernels that the dispatches use. */
  readonly variants: readonly KernelVariant[];
}

/** @throws RangeError when the plan is inconsistent (unknown kernel, variable or loop step): a defect of the planner. */
export function expandPlan(plan: Plan, size: CallSize): ExpandedPlan {
  const variables = callVariables(plan, size);
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  const dispatches: Dispatch[] = [];
  expandSteps(plan.steps, variables, kernels, dispatches);
  const used = new Set(dispatches.map(({ kernel }) => kernel));
  return {
    workspace: evaluateWorkspace(plan, variables),
    dispatches,
    variants: [...used].map((kernel) => ({ kernel, constants: evaluateAll(kernel.overrides, variables) })),
  };
}

/** What of a plan says how much memory its calls take. */
export type PlanMemory = Pick<Plan, "pipeline" | "definitions" | "workspace">;

/** Bytes of the workspace that a call of a size needs. */
export function workspaceBytes(plan: PlanMemory, size: CallSize): number {
  return evaluateWorkspace(plan, callVariables(plan, size)).reduce((sum, { bytes }) => sum + bytes, 0);
}

function evaluateWorkspace({ workspace }: PlanMemory, variables: Variables): ExpandedPlan["workspace"] {
  return workspace.map(({ name, bytes }) => ({ name, bytes: evaluate(bytes, variables) }));
}

/** Kernels whose constants are the same for every call. */
export function constantVariants(plan: Plan): KernelVariant[] {
  return plan.kernels
    .filter((kernel) => Object.values(kernel.overrides).every(isConstant))
    .map((kernel) => ({ kernel, constants: evaluateAll(kernel.overrides, {}) }));
}

function isConstant(expression: Expression): boolean {
  if (typeof expression === "number") return true;
  if (typeof expression === "string") return false;
  const [, ...operands] = expression;
  return operands.every(isConstant);
}

/** A step that repeats others. */
export type Loop = Extract<Step, { readonly kind: "loop" }>;

/** A loop of one round does nothing but name a value. */
export function isName({ from, to, by }: Loop): boolean {
  return by === 1 && JSON.stringify(to) === JSON.stringify(["add", from, 1]);
}

/** Sizes of a call, and what a plan defines by them. */
export function callVariables(plan: PlanMemory, size: CallSize): Variables {
  const { B, Lq, Lk, R, dBias = [], valuesKept = false } = size;
  const variables: Record<string, number> = {
    B,
    Lq,
    Lk,
    R,
    H: plan.pipeline.heads,
    positions: size.positions ? 1 : 0,
    d_bias_batches: dBias[0] ?? 0,
    d_bias_heads: dBias[1] ?? 0,
    values_kept: valuesKept ? 1 : 0,
  };
  for (const { name, value } of plan.definitions) variables[name] = evaluate(value, variables);
  return variables;
}

function expandSteps(
  steps: readonly Step[],
  variables: Variables,
  kernels: ReadonlyMap<string, KernelPlan>,
  dispatches: Dispatch[],
): void {
  for (const step of steps) {
    switch (step.kind) {
      case "dispatch": {
        const kernel = kernels.get(step.kernel);
        if (kernel === undefined)
          throw new RangeError(`the plan dispatches an unknown kernel "${step.kernel}"`);
        const [x, y, z] = step.grid;
        const grid = [evaluate(x, variables), evaluate(y, variables), evaluate(z, variables)] as const;
        if (grid.some((count) => count <= 0)) break;
        const multiplyAdds = evaluate(step.multiplyAdds, variables);
        dispatches.push({ kernel, grid, launch: evaluateAll(step.launch, variables), multiplyAdds });
        break;
      }
      case "loop": {
        const by = evaluate(step.by, variables);
        if (by <= 0) throw new RangeError(`the plan's loop over "${step.variable}" steps by ${by}`);
        const to = evaluate(step.to, variables);
        for (let value = evaluate(step.from, variables); value < to; value += by) {
          expandSteps(step.body, { ...variables, [step.variable]: value }, kernels, dispatches);
        }
        break;
      }
      default:
        step satisfies never;
    }
  }
}

function evaluateAll(
  expressions: Readonly<Record<string, Expression>>,
  variables: Variables,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(expressions).map(([name, expression]) => [name, evaluate(expression, variables)]),
  );
}
