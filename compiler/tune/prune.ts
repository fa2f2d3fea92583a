import { stableJson } from "../ir/meaning.ts";
import type { MeteredTarget } from "../targets.ts";
import type { TuningKey, TuningRecord } from "./record.ts";
import { alive, byAge, groupByKey, isMeasurement, rejectedSources, winnerOf } from "./winner.ts";

export interface PruneRequest {
  /** Records of other versions of mtac go: they are never used. */
  readonly mtac: string;
  /** Superseded records stay. */
  readonly keepAll?: boolean;
  /** These three together choose records that go: those that have all that is given. */
  readonly before?: Date;
  /** A part of the device's text, in any case. */
  readonly device?: string;
  readonly target?: MeteredTarget;
}

/** Why a record goes. */
export type PruneReason = "version" | "chosen" | "superseded";

export interface PruneDecision {
  readonly kept: ReadonlySet<TuningRecord>;
  readonly dropped: Readonly<Record<PruneReason, number>>;
}

/**
 * Decides which records go. Of the keys that stay, no winner changes, nor its speed over the planner's first choice; and a
 * wrong result is remembered for as long as a time of the same kernels is.
 */
export function pruneRecords(records: readonly TuningRecord[], request: PruneRequest): PruneDecision {
  const current = records.filter(({ key }) => key.mtac === request.mtac);
  const remaining = withoutChosen(current, request);
  const kept = new Set(
    request.keepAll === true ? remaining : groupByKey(remaining).flatMap(([key, own]) => needed(key, own)),
  );
  return {
    kept,
    dropped: {
      version: records.length - current.length,
      chosen: current.length - remaining.length,
      superseded: remaining.length - kept.size,
    },
  };
}

function withoutChosen(records: readonly TuningRecord[], request: PruneRequest): readonly TuningRecord[] {
  const staying = records.filter((record) => !isChosen(record, request));
  const measured = new Set(staying.filter(isMeasurement).map(kernelsUnderKey));
  return records.filter(
    (record) =>
      !isChosen(record, request) ||
      (record.kind === "rejected" && record.reason === "wrong" && measured.has(kernelsUnderKey(record))),
  );
}

function isChosen({ key, at }: TuningRecord, { before, device, target }: PruneRequest): boolean {
  if (before === undefined && device === undefined && target === undefined) return false;
  return (
    (before === undefined || Date.parse(at) < before.getTime()) &&
    (device === undefined || key.device.toLowerCase().includes(device.toLowerCase())) &&
    (target === undefined || key.target === target)
  );
}

function kernelsUnderKey({ key, candidate }: TuningRecord): string {
  return stableJson([key, candidate.source]);
}

/** Of one key's records: the last round, all of the winner and of the planner's first choice, and the rejections. */
function needed(key: TuningKey, own: readonly TuningRecord[]): readonly TuningRecord[] {
  const measured = alive(own, rejectedSources(own));
  const last = Math.max(...measured.map(({ rung }) => rung));
  const followed = new Set([
    winnerOf(own, key)?.candidate.source,
    ...measured.filter(({ first }) => first === true).map(({ candidate }) => candidate.source),
  ]);
  const rejections = new Map<string, TuningRecord>();
  for (const record of own.filter((each) => each.kind === "rejected").sort(byAge))
    rejections.set(stableJson([record.candidate.source, record.reason]), record);
  return [
    ...measured.filter(({ rung, candidate }) => rung === last || followed.has(candidate.source)),
    ...rejections.values(),
  ];
}
