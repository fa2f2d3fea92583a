import { type CallSize, callVariables, isName, type Loop } from "../../runtime/contract/expand.ts";
import {
  type Expression,
  evaluate,
  type Plan,
  type Step,
  type Variables,
} from "../../runtime/contract/index.ts";
import { boundsOf, extent, ITSELF, type Scope } from "./bounds.ts";

/** How many dispatches a call makes: as many as `expandPlan` lists, but in time that does not grow with the call. */
export function countDispatches(plan: Plan, size: CallSize): number {
  return countAt(plan.steps, callVariables(plan, size));
}

/** With every variable known. Only innermost loops are counted at once: those around them go over batches, or over few rounds. */
function countAt(steps: readonly Step[], variables: Variables): number {
  return steps.reduce((sum, step) => sum + countStepAt(step, variables), 0);
}

function countStepAt(step: Step, variables: Variables): number {
  if (step.kind === "dispatch") return step.grid.every((axis) => evaluate(axis, variables) > 0) ? 1 : 0;
  const { variable, body } = step;
  const [from, to, by] = [step.from, step.to, step.by].map((each) => evaluate(each, variables));
  if (from === undefined || to === undefined || by === undefined || by <= 0)
    throw new RangeError(`the plan's loop over "${variable}" steps by ${by}`);
  const rounds = Math.max(0, Math.ceil((to - from) / by));
  const valueAt = (round: number): number => from + round * by;
  if (body.some((each) => !isFlat(each)))
    return sumOf(rounds, (round) => countAt(body, { ...variables, [variable]: valueAt(round) }));
  const count = (first: number, end: number): number => {
    if (first >= end) return 0;
    if (end - first === 1) return countAt(body, { ...variables, [variable]: valueAt(first) });
    const span = { first: valueAt(first), last: valueAt(end - 1) };
    const each = countAll(body, { values: variables, bounds: new Map([[variable, ITSELF]]), span });
    if (each !== null) return each * (end - first);
    const middle = Math.floor((first + end) / 2);
    return count(first, middle) + count(middle, end);
  };
  return count(0, rounds);
}

function sumOf(rounds: number, each: (round: number) => number): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++) sum += each(round);
  return sum;
}

/** A dispatch, or loops that do nothing but name values around dispatches. */
function isFlat(step: Step): boolean {
  return step.kind === "dispatch" || (isName(step) && step.body.every(isFlat));
}

/** Dispatches of one round, the same for all rounds of the span; null where they differ, or it cannot be told. */
function countAll(steps: readonly Step[], scope: Scope): number | null {
  let sum = 0;
  for (const step of steps) {
    const count =
      step.kind === "dispatch" ? countDispatch(step.grid, scope) : countAll(step.body, named(step, scope));
    if (count === null) return null;
    sum += count;
  }
  return sum;
}

function named({ variable, from }: Loop, scope: Scope): Scope {
  return { ...scope, bounds: new Map([...scope.bounds, [variable, boundsOf(from, scope)]]) };
}

/** More than what rounding makes of bounds, less than what tells whole numbers apart. */
const ROUNDING = 2 ** -10;

function countDispatch(grid: readonly Expression[], scope: Scope): 0 | 1 | null {
  const axes = grid.map((axis) => extent(boundsOf(axis, scope), scope.span));
  if (axes.some(([, most]) => most < 1 - ROUNDING)) return 0;
  return axes.every(([least]) => least > ROUNDING) ? 1 : null;
}
