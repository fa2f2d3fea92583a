import type { GuideEntry } from "./advice.ts";

/** Sweeps, and the store of what was measured. */
export const TUNING_GUIDE: Readonly<Record<string, GuideEntry>> = {
  MTA406: {
    meaning: "an unknown knob",
    cause: "`tune … sweep` names a knob that the planner does not have for this attention and target.",
    remedy: "Take one from the message's list.",
  },
  MTA407: {
    meaning: "a value that no candidate has",
    cause: "The knob exists, but no plan that fits the target has it at this value.",
    remedy: "Take a value from the message's list; `mtac explain` lists all candidates.",
  },
  MTA408: {
    meaning: "nothing to measure",
    cause: "The sweeps together, or a limit of the target, leave no candidate.",
    remedy: "Sweep fewer knobs at once; `mtac explain` says why candidates were dropped.",
  },
  MTA409: {
    meaning: "a candidate computes wrongly",
    cause:
      "A plan's result differs from the reference beyond its bound: a defect of mtac, or of the driver. It cannot win.",
    remedy: "Report it with the spec and the device.",
  },
  MTA870: {
    meaning: "the tuning store cannot be read",
    cause: "The file is a folder, belongs to somebody else, or lies on a disk that is gone.",
    remedy: "Name another file with `--store`.",
  },
  MTA871: {
    meaning: "the tuning store cannot be written",
    cause: "The disk is full, or the folder may not be written to. What the store holds is unharmed.",
    remedy: "Free some space, or name another file with `--store`.",
  },
  MTA872: {
    meaning: "another process holds the tuning store",
    cause: "A sweep writes to the store and did not let go of it in time.",
    remedy:
      "Wait for it, or end it; if the process that the message names has nothing to do with mtac, remove the lock file.",
  },
  MTA873: {
    meaning: "the lock was taken over",
    cause: "This process was stopped so long that another one took it for dead.",
    remedy: "Try again; nothing was changed.",
  },
  MTA874: {
    meaning: "a file holds no tuning results",
    cause: "`--tuned`, or the config, names a file that `mtac tune export` did not write.",
    remedy: "Make it anew with `mtac tune export`.",
  },
  MTA875: {
    meaning: "an unclear share of a sweep",
    cause:
      "A scheduler's variables say by half which task this is (Slurm's `SLURM_ARRAY_TASK_…`, Kubernetes' `JOB_COMPLETION_INDEX`), contradict each other or the flags, or an array's numbers are a list without equal distances.",
    remedy:
      "Give `--shard i/n`, or unset the variables. In a Kubernetes manifest set `JOB_COMPLETIONS`, or give `--shards n`; number a Slurm array `0-7`.",
  },
};
