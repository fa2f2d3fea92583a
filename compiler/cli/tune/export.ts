import { writeAtomically } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { plural } from "../../report/units.ts";
import { openOutput } from "../../terminal/output.ts";
import { exportTuning } from "../../tune/export.ts";
import { openStore } from "../../tune/store.ts";
import { nothingTuned } from "../errors.ts";
import type { ExportFlags } from "./command.ts";
import { noteIgnored, selectTuning } from "./selection.ts";

/** `mtac tune export` @throws MtacError MTA906, MTA921 where there is nothing to write, MTA930 */
export async function run(file: string | undefined, flags: ExportFlags): Promise<void> {
  const output = openOutput(flags);
  const store = openStore(flags.store);
  refuseOverlap(
    [{ name: "`--out`", path: flags.out }],
    [
      { name: "the spec", path: file },
      { name: "the tuning store", path: store.file },
    ],
  );
  const { filter } = await selectTuning(file, flags, output);
  const { records, ignored } = store.read();
  noteIgnored(store.file, ignored, output);
  const exported = exportTuning(records, filter);
  if (exported.entries.length === 0) throw nothingTuned(store.file);
  writeAtomically(flags.out, `${JSON.stringify(exported, null, 2)}\n`);
  output.result({ store: store.file, file: flags.out, entries: exported.entries.length });
  output.text(`${output.style.green("✓")} ${plural(exported.entries.length, "winner")} in ${flags.out}`);
}
