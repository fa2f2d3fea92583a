import { existsSync, readFileSync } from "node:fs";
import type { CallShape, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { loadGradients, type PlanThatWon } from "../emit/index.ts";
import type { OpenedDevice, RunRequest } from "../execution/request.ts";
import { unreadableFile } from "../files/errors.ts";
import { packageVersion } from "../package.ts";
import { plural } from "../report/units.ts";
import { exportTuning, parseTuningExport, type TunedEntry } from "./export.ts";
import { sameKey, specHash, type TuningRecord } from "./record.ts";
import { openStore, type StoreContents } from "./store.ts";
import { storePath } from "./store-path.ts";
import { tunedPlan, tunedPlans } from "./use.ts";

/** Where winners are looked up. */
export interface TuningSources {
  /** False: not in the store. */
  readonly tuned: boolean;
  /** The tuning store; the one in the cache folder if not given. */
  readonly store?: string;
  /** A file of `mtac tune export`. */
  readonly tuning?: string;
}

/** Where the plan of one call is looked up: nowhere, if its schedule is named. */
export type LookupSources = Pick<TuningSources, "tuned" | "store"> & { readonly schedule?: string };

/** Something that was not used, and that the user should know of. */
export interface TuningNotice {
  readonly severity: "note" | "warning";
  readonly message: string;
}

/** Which lines of a store are not used; null when all are. */
export function ignoredNotice(file: string, ignored: StoreContents["ignored"]): TuningNotice | null {
  const [first] = ignored;
  if (first === undefined) return null;
  const verb = ignored.length === 1 ? "is" : "are";
  return {
    severity: "note",
    message: `${plural(ignored.length, "line")} of ${file} ${verb} not used (line ${first.line}: ${first.why})`,
  };
}

/** What was measured, for whoever profits from it; a store that cannot be read is no reason to fail. */
export function storedRecords(
  sources: Pick<TuningSources, "tuned" | "store">,
  report: (notice: TuningNotice) => void,
): readonly TuningRecord[] {
  if (!sources.tuned) return [];
  const store = openStore(sources.store);
  try {
    const { records, ignored } = store.read();
    const notice = ignoredNotice(store.file, ignored);
    if (notice !== null) report(notice);
    return records;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    report({ severity: "warning", message: `tuning results are not used: ${reason}` });
    return [];
  }
}

/** Looks up the plans that won on the device which is opened for a call; for `execute`. */
export function tunedChooser(
  pipeline: Pipeline,
  shape: CallShape,
  sources: LookupSources,
  report: (notice: TuningNotice) => void,
): Pick<RunRequest, "tuned"> {
  const choose = tunedLookup(pipeline, sources, report);
  return choose === null ? {} : { tuned: (device, direction) => choose(device, shape, direction) };
}

/** The plan that won on a device near a shape, of the attention itself or of its gradients. */
export type TunedLookup = (
  device: OpenedDevice,
  shape: CallShape,
  direction: Plan["direction"],
) => Plan | null;

/** The same for shapes that are known later; null where there is nothing to look up. Plans for gradients need `loadGradients`. */
export function tunedLookup(
  pipeline: Pipeline,
  sources: LookupSources,
  report: (notice: TuningNotice) => void,
): TunedLookup | null {
  // Who names a schedule gets the planner's choice of that schedule.
  if (sources.schedule !== undefined) return null;
  const records = storedRecords(sources, report);
  if (records.length === 0) return null;
  return ({ target, identity, machine }, shape, direction) => {
    const setting = {
      mtac: packageVersion(),
      spec: specHash(pipeline),
      target,
      ...(direction === undefined ? {} : { direction }),
      device: identity,
      storage: machine.storage(pipeline),
    };
    return tunedPlan(pipeline, machine, setting, shape, records);
  };
}

/**
 * The winners of all devices for what is emitted, by attention: those of the store, and those of an exported file for what the
 * store does not know; those of backward passes only with `grad`.
 *
 * @throws MtacError MTA905 (unreadable), MTA874 (no tuning results)
 */
export async function tunedWinners(
  pipelines: readonly Pipeline[],
  sources: TuningSources & { readonly grad: boolean },
  report: (notice: TuningNotice) => void,
): Promise<ReadonlyMap<string, readonly PlanThatWon[]>> {
  if (sources.tuning === undefined && !(sources.tuned && existsSync(storePath(sources.store))))
    return new Map();
  const mtac = packageVersion();
  const own = exportTuning(storedRecords(sources, report), { mtac }).entries;
  const given = sources.tuning === undefined ? [] : readExported(sources.tuning, mtac, report);
  const all = [...own, ...given.filter(({ key }) => !own.some((entry) => sameKey(entry.key, key)))];
  const entries = sources.grad ? all : all.filter(({ key }) => key.direction === undefined);
  if (entries.some(({ key }) => key.direction === "backward")) await loadGradients();
  return new Map(pipelines.map((pipeline) => [pipeline.name, tunedPlans(pipeline, entries)]));
}

function readExported(
  file: string,
  mtac: string,
  report: (notice: TuningNotice) => void,
): readonly TunedEntry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
  const exported = parseTuningExport(text, file);
  if (exported.mtac === mtac) return exported.entries;
  report({
    severity: "warning",
    message: `${file} comes from mtac ${exported.mtac}, this is ${mtac}: its results are not used`,
  });
  return [];
}
