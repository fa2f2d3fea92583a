import type { CallShape, Pipeline, Plan } from "../../../runtime/contract/index.ts";
import type { PlanThatWon } from "../../emit/index.ts";
import type { OpenedDevice, RunRequest } from "../../execution/request.ts";
import { packageVersion } from "../../package.ts";
import type { Output } from "../../terminal/output.ts";
import { specHash, type TuningRecord } from "../../tune/record.ts";
import { storedRecords, tunedWinners } from "../../tune/tuned-winners.ts";
import { storageOn, tunedPlan } from "../../tune/use.ts";
import { printNotice } from "./selection.ts";

export interface TuningUseFlags {
  /** False with `--no-tuned`. */
  readonly tuned: boolean;
  readonly store?: string;
}

/** What was measured, for commands that profit from it. */
function recordsFor(flags: TuningUseFlags, output: Output): readonly TuningRecord[] {
  return storedRecords(flags, (notice) => printNotice(notice, output));
}

/** Looks up the plan that won on the device which a command has opened; for `execute`. */
export function tunedChooser(
  pipeline: Pipeline,
  shape: CallShape,
  flags: TuningUseFlags & { readonly schedule?: string },
  output: Output,
): Pick<RunRequest, "tuned"> {
  const choose = tunedLookup(pipeline, flags, output);
  return choose === null ? {} : { tuned: (device) => choose(device, shape) };
}

/** The same for shapes that are known later; null where there is nothing to look up. */
export function tunedLookup(
  pipeline: Pipeline,
  flags: TuningUseFlags & { readonly schedule?: string },
  output: Output,
): ((device: OpenedDevice, shape: CallShape) => Plan | null) | null {
  // Who names a schedule gets the planner's choice of that schedule.
  if (flags.schedule !== undefined) return null;
  const records = recordsFor(flags, output);
  if (records.length === 0) return null;
  return ({ target, identity, machine }, shape) => {
    const setting = {
      mtac: packageVersion(),
      spec: specHash(pipeline),
      target,
      device: identity,
      storage: storageOn(machine, pipeline),
    };
    return tunedPlan(pipeline, machine, setting, shape, records);
  };
}

/** The winners of all devices for what `compile` emits; what is not used is said. */
export function tunedForArtifacts(
  pipelines: readonly Pipeline[],
  flags: TuningUseFlags & { readonly tuning?: string },
  output: Output,
): ReadonlyMap<string, readonly PlanThatWon[]> {
  return tunedWinners(pipelines, flags, (notice) => printNotice(notice, output));
}
