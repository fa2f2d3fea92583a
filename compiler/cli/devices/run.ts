import { formatBytes } from "../../report/units.ts";
import { listDevices } from "../../targets/index.ts";
import type { ListedDevice } from "../../targets/runtime.ts";
import { hasDevice, TARGETS, type TargetName } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { table } from "../../terminal/style.ts";
import { type ErrorObject, errorObject } from "../failure.ts";
import type { DevicesFlags } from "./command.ts";

/** A device, or what could not be opened, and why. */
type Listing = { readonly target: TargetName } & (ListedDevice | { readonly error: ErrorObject });

/** `mtac devices` */
export async function run(flags: DevicesFlags): Promise<void> {
  const output = openOutput(flags);
  const listings: Listing[] = [];
  for (const target of TARGETS)
    for (const device of await listDevices(target))
      listings.push({ target, ...("code" in device ? { error: errorObject(device) } : device) });
  output.result(
    listings.map((listing) => {
      if ("error" in listing) return listing;
      const { words: _words, ...facts } = listing;
      return facts;
    }),
  );
  for (const listing of listings) output.text(formatDevice(listing, output));
}

function formatDevice(listing: Listing, { style }: Output): string {
  const { target } = listing;
  if ("error" in listing) {
    const { message, remedy } = listing.error;
    const fix = remedy === null ? "" : `\n  fix: ${remedy}`;
    return `${style.bold(target)}  ${style.dim(`not available: ${message}${fix}`)}`;
  }
  const { device, software } = listing;
  const kind = software && hasDevice(target) ? style.dim(" (software, for tests)") : "";
  const rows = Object.entries(listing.words ?? wordsOf(listing)).map(([name, text]) => [
    style.dim(name),
    text,
  ]);
  return `${style.bold(target)}  ${device}${kind}\n${table(rows, [], "  ")}`;
}

function wordsOf({ limits, features }: ListedDevice): Readonly<Record<string, string>> {
  const words = Object.entries(limits).map(([name, value]): [string, string] => [
    name,
    /Size$|Bytes/.test(name) ? formatBytes(value) : String(value),
  ]);
  return { ...Object.fromEntries(words), ...(features.length > 0 ? { features: features.join(", ") } : {}) };
}
