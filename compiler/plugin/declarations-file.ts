import { holds, writeAtomically } from "../files/atomic-write.ts";
import { refuseOverlap } from "../files/overlap.ts";
import type { DeclarationsForm } from "./options.ts";

/**
 * The `.d.ts` beside a spec: `spec.mta.d.ts`, which TypeScript finds for `./spec.mta` with `moduleResolution: "bundler"`, or
 * `spec.d.mta.ts`, which it finds with every resolution, but only where `allowArbitraryExtensions` is on.
 */
export function declarationsFile(spec: string, form: DeclarationsForm): string {
  return form === "bundler" ? `${spec}.d.ts` : spec.replace(/\.mta$/, ".d.mta.ts");
}

/**
 * Writes declarations, whole or not at all, and only where they have changed: editors and watchers take notice of each write.
 *
 * @returns Whether it wrote.
 * @throws MtacError MTA906; MTA930 where the file is a link to the spec itself
 */
export function writeDeclarations(file: string, spec: string, text: string): boolean {
  if (holds(file, text)) return false;
  refuseOverlap([{ name: "the declarations file", path: file }], [{ name: "the spec", path: spec }]);
  writeAtomically(file, text);
  return true;
}
