import { resolve } from "../../ir/index.ts";
import { packageVersion } from "../../package.ts";
import type { Output } from "../../terminal/output.ts";
import type { ExportFilter } from "../../tune/export.ts";
import { specHash } from "../../tune/record.ts";
import type { StoreContents } from "../../tune/store.ts";
import { ignoredNotice } from "../../tune/tuned-winners.ts";
import { nameWithoutSpec } from "../errors.ts";
import { chooseAttentions } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { ShowFlags } from "./command.ts";

/** Which results a command is about. */
export interface TuningSelection {
  readonly filter: ExportFilter;
  /** Names of attentions, by the hashes of what they compute. Empty without a spec. */
  readonly names: ReadonlyMap<string, string>;
}

/** @throws MtacError MTA909 … MTA911, MTA920; as `readSpec` */
export async function selectTuning(
  file: string | undefined,
  flags: Pick<ShowFlags, "name" | "target" | "store">,
  output: Output,
): Promise<TuningSelection> {
  if (file === undefined && flags.name !== undefined) throw nameWithoutSpec();
  const { target } = flags;
  const base = { mtac: packageVersion(), ...(target === undefined ? {} : { target }) };
  if (file === undefined) return { filter: base, names: new Map() };
  const spec = await readSpec(file, output);
  const names = new Map<string, string>();
  for (const attention of chooseAttentions(spec, flags)) {
    const hash = specHash(resolve(attention, file));
    const before = names.get(hash);
    names.set(hash, before === undefined ? attention.name : `${before}, ${attention.name}`);
  }
  return { filter: { ...base, specs: new Set(names.keys()) }, names };
}

/** Says which lines of a store were not used. */
export function noteIgnored(file: string, ignored: StoreContents["ignored"], output: Output): void {
  const notice = ignoredNotice(file, ignored);
  if (notice !== null) output.notice(notice);
}
