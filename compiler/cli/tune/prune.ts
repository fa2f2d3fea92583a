import { packageVersion } from "../../package.ts";
import { plural } from "../../report/units.ts";
import { openOutput } from "../../terminal/output.ts";
import { noTuningStore } from "../../tune/errors.ts";
import { type PruneDecision, type PruneRequest, pruneRecords } from "../../tune/prune.ts";
import type { TuningRecord } from "../../tune/record.ts";
import { openStore, type Rewritten, type TuningStore } from "../../tune/store.ts";
import type { PruneFlags } from "./command.ts";

/** `mtac tune prune` @throws MtacError MTA931, and as `TuningStore` */
export function run(flags: PruneFlags): void {
  const output = openOutput(flags);
  const store = openStore(flags.store);
  refuseForeignFile(store);
  const { target } = flags;
  const request: PruneRequest = {
    mtac: packageVersion(),
    ...(flags.before === undefined ? {} : { before: flags.before }),
    ...(flags.device === undefined ? {} : { device: flags.device }),
    ...(target === undefined ? {} : { target }),
    ...(flags.keepAll === undefined ? {} : { keepAll: flags.keepAll }),
  };
  const dryRun = flags.dryRun === true;
  const decide = (records: readonly TuningRecord[]): PruneDecision => pruneRecords(records, request);
  const { decision, ignored } = dryRun ? foresee(store, decide) : store.rewrite(decide);
  const { kept, dropped } = decision;
  const counts = { ...dropped, damaged: ignored.length };
  output.result({ store: store.file, dryRun, kept: kept.size, dropped: counts });
  output.text(formatPruned(store.file, kept.size, counts, dryRun));
}

/** Dropping all lines of a file that holds no record would destroy a file that was never a store. */
function refuseForeignFile(store: TuningStore): void {
  const { records, ignored } = store.read();
  if (records.length === 0 && ignored.length > 0) throw noTuningStore(store.file);
}

function foresee(
  store: TuningStore,
  decide: (records: readonly TuningRecord[]) => PruneDecision,
): Rewritten<PruneDecision> {
  const { records, ignored } = store.read();
  return { decision: decide(records), ignored };
}

function formatPruned(
  file: string,
  kept: number,
  dropped: PruneDecision["dropped"] & { readonly damaged: number },
  dryRun: boolean,
): string {
  const { version, superseded, chosen, damaged } = dropped;
  const total = version + superseded + chosen + damaged;
  const verb = dryRun ? "would be dropped from" : "dropped from";
  return `${plural(total, "record")} ${verb} ${file}: ${version} of other versions of mtac, ${superseded} superseded, ${chosen} chosen, ${damaged} damaged; ${kept} ${dryRun ? "would stay" : "stay"}`;
}
