import type { CallShape } from "../../runtime/contract/index.ts";
import { growthOf } from "./growth.ts";
import type { Peer } from "./peers/index.ts";
import { type LengthReport, type Row, rowOf, type Spread, type SubjectGrowth, subjectsOf } from "./report.ts";
import type { PlanSubject } from "./subjects.ts";
import { type Contestant, spreadOf } from "./turns.ts";

/** What all rows of one length are compared with. */
export interface RowContext {
  readonly shape: CallShape;
  readonly operations: number;
  readonly compulsoryBytes: number;
  readonly gradients: LengthReport["gradients"];
  /** Of the plan that a launcher takes: the tuned one, where there is one, else the planner's choice. */
  readonly forward: Spread | null;
  readonly product: LengthReport["product"];
  readonly baseline: Spread | null;
  readonly unit: "ns" | "cycles";
}

export function planRow(subject: PlanSubject, one: Contestant, context: RowContext): Row {
  const { name, kind, plan, chosen, tuned } = subject;
  const { forward, gradients } = context;
  const backward = kind === "backward" ? gradients : null;
  // The unfused pipeline has no backward pass to compare with.
  const measured = measuredPart(
    one,
    backward === null ? context : { ...context, ...backward, baseline: null },
  );
  const { operationsPerSecond: rate, time } = measured;
  const footprint = one.state === "wrong" ? null : one.runner.footprint();
  const peakBytes = footprint?.peakBytes ?? null;
  const { compulsoryBytes } = backward ?? context;
  return {
    subject: name,
    kind,
    plan: { schedule: plan.schedule, knobs: plan.knobs },
    chosen,
    tuned,
    version: null,
    runsOn: null,
    ...measured,
    timeOverForward:
      backward === null || time === null || forward === null ? null : time.median / forward.median,
    shareOfProduct:
      rate === null || context.product === null ? null : rate / context.product.operationsPerSecond,
    peakBytes,
    bytesOverCompulsory: peakBytes === null ? null : peakBytes / compulsoryBytes,
    workspaceBytes: footprint?.workspaceBytes ?? null,
  };
}

export function peerRow(peer: Peer, one: Contestant, context: RowContext): Row {
  return {
    subject: peer.name,
    kind: "peer",
    plan: null,
    chosen: false,
    tuned: false,
    version: peer.version,
    runsOn: peer.device,
    ...measuredPart(one, context),
    timeOverForward: null,
    // Another device than the one that the product was timed on.
    shareOfProduct: null,
    peakBytes: null,
    bytesOverCompulsory: null,
    workspaceBytes: null,
  };
}

function measuredPart(
  one: Contestant,
  { operations, baseline, unit }: RowContext,
): Pick<Row, "state" | "reason" | "error" | "time" | "speedup" | "operationsPerSecond"> {
  const { state, reason, error } = one;
  const time = spreadOf(one);
  return {
    state,
    reason,
    error,
    time,
    speedup: time === null || baseline === null ? null : baseline.median / time.median,
    // Cycles of a device that is not there take no seconds.
    operationsPerSecond: time === null || unit === "cycles" ? null : perSecond(operations, time),
  };
}

/** @param time In nanoseconds. */
export function perSecond(operations: number, time: Spread): number {
  return (operations / time.median) * 1e9;
}

/** Of all subjects that were timed at two lengths or more. */
export function growthsOf(lengths: readonly LengthReport[]): readonly SubjectGrowth[] {
  return subjectsOf({ lengths }).flatMap((subject) => {
    const points = lengths.flatMap((each) => {
      const time = rowOf(each, subject)?.time?.median;
      return time === undefined ? [] : [{ length: each.shape.Lq, time }];
    });
    const growth = growthOf(points);
    return growth === null ? [] : [{ subject, ...growth }];
  });
}
