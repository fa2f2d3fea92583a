import {
  type CallShape,
  MtacError,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
  withoutDropout,
} from "../../runtime/contract/index.ts";
import type { Meter } from "../execution/meter.ts";
import { choosePlan, type PlanRequest, planCandidates, scheduleIllegal, unfusedPlan } from "../plan/index.ts";
import { emissionFacts } from "../targets.ts";
import type { SubjectKind } from "./report.ts";

/** One plan that a benchmark runs. */
export interface PlanSubject {
  /** The same at every length. */
  readonly name: string;
  readonly kind: SubjectKind;
  readonly plan: Plan;
  /** The planner's choice for this shape. */
  readonly chosen: boolean;
  /** What was measured to be the fastest. */
  readonly tuned: boolean;
}

export interface SubjectRequest {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  /** Only this schedule, beside the baseline. */
  readonly schedule: Schedule | undefined;
  /** The plan that won on this device, where one did. */
  readonly tuned: Plan | null;
  /** The same of the backward pass. */
  readonly tunedBackward: Plan | null;
  /** Whether the backward pass is wanted, too. */
  readonly grad: boolean;
}

export interface PlanSubjects {
  readonly subjects: readonly PlanSubject[];
  /** What is left out, and why. */
  readonly notes: readonly string[];
}

/**
 * What of mtac's own a benchmark compares at one shape: the unfused pipeline, the plan of each legal schedule that the planner thinks
 * best, and the tuned plan, where it is none of those; and the backward pass, where it is wanted.
 *
 * @throws MtacError MTA405 when no schedule fits the device
 */
export function planSubjects(meter: Pick<Meter, "machine">, request: SubjectRequest): PlanSubjects {
  const { pipeline, shape, schedule, tuned, tunedBackward, grad } = request;
  const planned: PlanRequest = { machine: meter.machine, shape };
  const notes: string[] = [];
  const subjects: PlanSubject[] = [];
  const baseline = baselinePlan(pipeline, planned, notes);
  if (baseline !== null)
    subjects.push({ name: "unfused", kind: "baseline", plan: baseline, chosen: false, tuned: false });
  const choice = choosePlan(
    withoutDropout(pipeline),
    schedule === undefined ? planned : { ...planned, schedule },
  );
  for (const each of schedule === undefined ? SCHEDULES : [schedule]) {
    const [best] = planCandidates(withoutDropout(pipeline), { ...planned, schedule: each });
    if (best === undefined || best.plan === null) {
      // Where there is one schedule only, nobody misses the others.
      if (schedule === undefined && !emissionFacts(meter.machine.target).schedules) continue;
      const reason = scheduleIllegal(pipeline, each) ?? best?.reason ?? "the planner lists no plan of it";
      notes.push(`${each} is left out: ${reason}`);
      continue;
    }
    const { plan } = best;
    const marks = { chosen: samePlan(plan, choice), tuned: tuned !== null && samePlan(plan, tuned) };
    subjects.push({ name: each, kind: "schedule", plan, ...marks });
  }
  if (tuned !== null && !subjects.some((each) => each.tuned))
    subjects.push({ name: "tuned", kind: "tuned", plan: tuned, chosen: false, tuned: true });
  if (grad) {
    const plan = choosePlan(withoutDropout(pipeline), { ...planned, direction: "backward" });
    const won = tunedBackward !== null && samePlan(plan, tunedBackward);
    const marks = tunedBackward === null ? { chosen: false, tuned: false } : { chosen: true, tuned: won };
    subjects.push({ name: "backward", kind: "backward", plan, ...marks });
    if (tunedBackward !== null && !won)
      subjects.push({ ...TUNED_BACKWARD, plan: tunedBackward, chosen: false, tuned: true });
  }
  return { subjects, notes };
}

const TUNED_BACKWARD = { name: "tuned backward", kind: "backward" } as const;

function baselinePlan(pipeline: Pipeline, request: PlanRequest, notes: string[]): Plan | null {
  const { title, unfused } = emissionFacts(request.machine.target);
  if (!unfused) {
    notes.push(`there is no unfused baseline on ${title} yet: no ratios to it`);
    return null;
  }
  try {
    return unfusedPlan(withoutDropout(pipeline), request);
  } catch (error) {
    // MTA405: it does not fit the device.
    if (!(error instanceof MtacError) || error.code !== "MTA405") throw error;
    notes.push(`the unfused baseline is left out: ${error.message}`);
    return null;
  }
}

function samePlan(a: Plan, b: Plan): boolean {
  const knobs = (plan: Plan) => JSON.stringify(Object.entries(plan.knobs).sort());
  return a.schedule === b.schedule && knobs(a) === knobs(b);
}
