import type { Plan } from "../../../runtime/contract/index.ts";

/** The grammar of plans: what every plan keeps to, whatever its target and schedule. */
export const PLAN_RULES = {
  names: "kernels, buffers and named values have names of their own",
  variables:
    "every expression uses variables that are defined before it, with as many operands as its operators take",
  kernels: "every kernel is dispatched, and every dispatch names a kernel",
  limits: "no kernel takes more than the plan says it requires",
  parameters: "parameters lie one after the other, in the pipeline's order",
  alignment: "rows are whole loads",
  bindings:
    "bindings are numbered without gaps, the launch block first, each naming another resource that the plan has",
  operands:
    "a kernel declares what it binds under different names, as what it holds, in loads that its rows are whole numbers of",
  access:
    "inputs are read, results are written, and results that the pipeline has are written by some kernel",
  workspace: "every workspace buffer is used, and written before it is read",
  launch: "dispatches give the launch fields that their kernel reads, and no others",
  loops: "loops go on",
  values: "sizes and offsets are whole numbers that 32 bits hold",
  grid: "a dispatch has one workgroup for each of the tiles that its kernel computes, and no more than the target allows",
  coverage: "every row of every batch entry is written once",
  rows: "dispatches write rows that exist, and the rows around them that later stages read were written before",
  keys: "a strip's keys are those that its rows see at least",
  maps: "a strip's rows and keys lie inside its maps",
  stages:
    "kernels name stages that the pipeline has, of the kind that they compute, and together they compute all of them",
  finish: "an entry's pointwise stages are those that follow its stage",
  chain: "a fused kernel's steps follow the pipeline's stages from region to region",
  regions: "regions and tables lie in the arena, and apart",
  arena: "the arena and the rows' documents are the kernel's workgroup memory",
  halo: "a region holds the rows around a tile that the next convolution reads",
  carry: "a region keeps the columns that the next convolution reads again",
  lag: "a region trails the scores by the columns that convolutions before it read ahead",
  heads: "a workgroup holds all heads that its stages read together",
  workgroup: "a workgroup has invocations for its tile, its rows and its results",
  epilogue: "the output's stages have places in the arena for their rows and sums",
  places: "what a tensor-core kernel keeps in shared memory lies apart, inside it",
  strips: "a library computes whole tiles of rows and whole panels of keys, as the knobs say",
  granules: "tensor-core tiles are whole fragments, and so are the rows and keys around them",
} as const satisfies Readonly<Record<string, string>>;

/** A rule's name. */
export type PlanRule = keyof typeof PLAN_RULES;

/** A plan that breaks a rule: a defect of the planner. */
export class PlanFault extends RangeError {
  readonly rule: PlanRule;

  constructor(plan: Plan, kernel: string | null, rule: PlanRule, what: string) {
    const where = kernel === null ? "" : `, kernel "${kernel}"`;
    super(
      `the ${plan.schedule} plan of "${plan.pipeline.name}" for ${plan.target}${where}, breaks the rule "${rule}" (${PLAN_RULES[rule]}): ${what}; knobs ${JSON.stringify(plan.knobs)}`,
    );
    this.name = "PlanFault";
    this.rule = rule;
  }
}

/** Wants a rule to hold in one place of a plan; `what` tells what is there instead. */
export type Demand = (rule: PlanRule, holds: boolean, what: () => string) => void;

/** @param kernel The kernel that is looked at; null for the plan as a whole. */
export function demandIn(plan: Plan, kernel: string | null): Demand {
  return (rule, holds, what) => {
    if (!holds) throw new PlanFault(plan, kernel, rule, what());
  };
}
