import { existsSync } from "node:fs";
import { unreadableFile } from "../../files/errors.ts";
import { plural } from "../../report/units.ts";
import { openOutput } from "../../terminal/output.ts";
import { openStore } from "../../tune/store.ts";
import type { MergeFlags } from "./command.ts";
import { noteIgnored } from "./selection.ts";

/**
 * `mtac tune merge`: nothing is taken over before every file could be read.
 * @throws MtacError MTA870 … MTA872, MTA905
 */
export function run(files: readonly string[], flags: MergeFlags): void {
  const output = openOutput(flags);
  const store = openStore(flags.store);
  const read = files.map((file) => {
    // A store that is not there is empty; a file that somebody names should be there.
    if (!existsSync(file)) throw unreadableFile(file, Object.assign(new Error(), { code: "ENOENT" }));
    return { file, ...openStore(file).read() };
  });
  for (const { file, ignored } of read) noteIgnored(file, ignored, output);
  const records = read.flatMap((each) => each.records);
  const added = store.appendMissing(records);
  output.result({
    store: store.file,
    added,
    present: records.length - added,
    files: read.map(({ file, records: { length }, ignored }) => ({ file, records: length, ignored })),
  });
  output.text(
    `${output.style.green("✓")} ${plural(added, "record")} added to ${store.file}, ${records.length - added} already there`,
  );
}
