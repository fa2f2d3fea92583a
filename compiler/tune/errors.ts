import { MtacError } from "../../runtime/contract/index.ts";
import { systemCode, systemReason } from "../../runtime/contract/system-reason.ts";

/** What sweeps refuse (MTA406 … MTA408, MTA875), and the tuning store (other MTA87x, MTA931). */

export function unknownKnob(knob: string, known: readonly string[], near: string | null): MtacError {
  return new MtacError(
    "MTA406",
    "input",
    `the planner has no knob \`${knob}\` for this attention and target`,
    {
      remedy: near === null ? `it has ${known.join(", ")}` : `did you mean \`${near}\`?`,
    },
  );
}

export function unknownKnobValue(
  knob: string,
  value: number | string,
  known: readonly (number | string)[],
): MtacError {
  return new MtacError("MTA407", "input", `no candidate has ${knob} ${value}`, {
    remedy: `there are ${known.join(", ")}; \`mtac explain\` lists all candidates`,
  });
}

export function noCandidate(name: string, reason: string): MtacError {
  return new MtacError("MTA408", "input", `there is nothing to measure for "${name}": ${reason}`, {
    remedy: "`mtac explain` lists the candidates, and why others were dropped",
  });
}

/** @param reason Why it is not clear which share of a sweep a process measures. */
export function unclearShare(reason: string): MtacError {
  return new MtacError("MTA875", "usage", `which share of the sweep is this? ${reason}`, {
    remedy:
      "say it with `--shard 2/8`, which goes before all variables; in a manifest, set JOB_COMPLETIONS to the job's `completions`, or give `--shards 8`",
  });
}

export function unreadableStore(file: string, cause: unknown): MtacError {
  return new MtacError("MTA870", "input", `cannot read the tuning store ${file}: ${systemReason(cause)}`, {
    cause,
    remedy: "give the store's file with `--store`",
  });
}

export function unwritableStore(file: string, cause: unknown): MtacError {
  const full = ["ENOSPC", "EDQUOT", "EFBIG"].includes(systemCode(cause) ?? "");
  return new MtacError("MTA871", "input", `cannot write the tuning store ${file}: ${systemReason(cause)}`, {
    cause,
    remedy: full
      ? "free some space, or keep the store elsewhere with `--store`; what it holds is unharmed"
      : "choose a file in a folder that you may write to with `--store`; what it holds is unharmed",
  });
}

/** Lines of records would spoil a file of another kind, and rewriting would empty it. */
export function noTuningStore(file: string): MtacError {
  return new MtacError("MTA931", "input", `${file} holds no tuning record, but something else`, {
    remedy: "name a tuning store with `--store`; a store whose lines are all damaged may be removed by hand",
  });
}

/** @param holder Who holds it, in words. */
export function lockedStore(lock: string, holder: string, waitedMs: number): MtacError {
  return new MtacError(
    "MTA872",
    "input",
    `the lock ${lock} is still held by ${holder} after ${Math.round(waitedMs / 100) / 10} s`,
    { remedy: `wait for that process, or end it; if it has nothing to do with mtac, remove ${lock}` },
  );
}

export function lostLock(lock: string): MtacError {
  return new MtacError("MTA873", "input", `another process has taken over the lock ${lock}`, {
    remedy: "try again; nothing was changed",
  });
}

export function malformedTuning(file: string, message: string): MtacError {
  return new MtacError("MTA874", "input", `${file} holds no tuning results: ${message}`, {
    remedy: "make the file anew with `mtac tune export`",
  });
}
