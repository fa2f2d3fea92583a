import { readFileSync } from "node:fs";
import type { CallShape, Pipeline, Plan } from "../../../runtime/contract/index.ts";
import type { PlanThatWon } from "../../emit/index.ts";
import type { OpenedDevice, RunRequest } from "../../execution/request.ts";
import { unreadableFile } from "../../files/errors.ts";
import { packageVersion } from "../../package.ts";
import { WEBGPU_VARIANTS } from "../../plan/index.ts";
import { exportTuning, parseTuningExport, type TunedEntry } from "../../tune/export.ts";
import { sameKey, specHash, type TuningRecord } from "../../tune/record.ts";
import { openStore } from "../../tune/store.ts";
import { storageOn, tunedPlan, tunedPlans } from "../../tune/use.ts";
import type { Output } from "./output.ts";
import { noteIgnored } from "./tuning-selection.ts";

export interface TuningUseFlags {
  /** False with `--no-tuned`. */
  readonly tuned: boolean;
  readonly store?: string;
}

/** What was measured, for commands that profit from it; a store that cannot be read is no reason to fail. */
function storedRecords(flags: TuningUseFlags, output: Output): readonly TuningRecord[] {
  if (!flags.tuned) return [];
  const store = openStore(flags.store);
  try {
    const { records, ignored } = store.read();
    noteIgnored(store.file, ignored, output);
    return records;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    output.note(`${output.noteStyle.yellow("warning")} tuning results are not used: ${reason}`);
    return [];
  }
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
  const records = storedRecords(flags, output);
  if (records.length === 0) return null;
  return ({ target, identity, limits }, shape) => {
    const setting = {
      mtac: packageVersion(),
      spec: specHash(pipeline),
      target,
      device: identity,
      storage: storageOn(target, pipeline, limits),
    };
    return tunedPlan(pipeline, limits, setting, shape, records);
  };
}

/**
 * The winners of all devices for what `compile` emits, by attention: those of the store, and those of an exported file for what the
 * store does not know.
 */
export function tunedForArtifacts(
  pipelines: readonly Pipeline[],
  flags: TuningUseFlags & { readonly tuning?: string },
  output: Output,
): ReadonlyMap<string, readonly PlanThatWon[]> {
  const mtac = packageVersion();
  const own = exportTuning(storedRecords(flags, output), { mtac }).entries;
  const given = flags.tuning === undefined ? [] : readExported(flags.tuning, mtac, output);
  const entries = [...own, ...given.filter(({ key }) => !own.some((entry) => sameKey(entry.key, key)))];
  return new Map(
    pipelines.map((pipeline) => [pipeline.name, tunedPlans(pipeline, WEBGPU_VARIANTS, entries)]),
  );
}

/** @throws MtacError MTA905 (unreadable), MTA874 (no tuning results) */
function readExported(file: string, mtac: string, output: Output): readonly TunedEntry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
  const exported = parseTuningExport(text, file);
  if (exported.mtac === mtac) return exported.entries;
  output.note(
    `${output.noteStyle.yellow("warning")} ${file} comes from mtac ${exported.mtac}, this is ${mtac}: its results are not used`,
  );
  return [];
}
