import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, and lists in `made` what was not there. Not `mkdirSync` with `recursive`, which
 * never returns where a parent exists and yet refuses with ENOENT, as /proc does.
 */
export function makeFolder(folder: string, made: string[] = []): void {
  const existing = statSync(folder, { throwIfNoEntry: false });
  if (existing?.isDirectory()) return;
  if (existing !== undefined) throw Object.assign(new Error("it is a file"), { code: "ENOTDIR" });
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent, made);
  try {
    mkdirSync(folder);
    made.push(folder);
  } catch (error) {
    // Another process may have been faster.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
