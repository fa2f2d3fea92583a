import { randomBytes } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeFolder } from "../../runtime/contract/make-folder.ts";
import { unwritablePath } from "./errors.ts";

/**
 * Writes a file whole or not at all: under another name beside it first, then renamed over it.
 * @throws MtacError MTA906
 */
export function writeAtomically(path: string, content: string | Uint8Array): void {
  const temporary = temporaryBeside(path);
  try {
    writeFileSync(temporary, content, { flag: "wx" });
    renameSync(temporary, path);
  } catch (cause) {
    removeQuietly(temporary);
    throw unwritablePath(path, cause);
  }
}

/**
 * Finds out before a long computation whether its result could be written, by making and removing a file there.
 * @throws MtacError MTA906
 */
export function checkWritable(path: string): void {
  const temporary = temporaryBeside(path);
  try {
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing?.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
    if (existing !== undefined) accessSync(path, constants.W_OK);
    closeSync(openSync(temporary, "wx"));
  } catch (cause) {
    throw unwritablePath(path, cause);
  } finally {
    removeQuietly(temporary);
  }
}

/**
 * Writes several files into a folder and folders within it, made if need be: all are written under other names first, so that a full disk or
 * a refused write leaves the folder's files as they were. A file that holds its content already is left alone, for the sake of build
 * tools that go by times.
 * @throws MtacError MTA906
 */
export function writeFolderAtomically(folder: string, files: Readonly<Record<string, string>>): void {
  const pending: { readonly temporary: string; readonly path: string }[] = [];
  const made: string[] = [];
  let current = folder;
  try {
    makeFolder(folder, made);
    for (const [name, content] of Object.entries(files)) {
      current = join(folder, name);
      if (statSync(current, { throwIfNoEntry: false })?.isDirectory())
        throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
      if (holds(current, content)) continue;
      makeFolder(dirname(current), made);
      const temporary = temporaryBeside(current);
      pending.push({ temporary, path: current });
      writeFileSync(temporary, content, { flag: "wx" });
    }
    for (const { temporary, path } of pending) {
      current = path;
      renameSync(temporary, path);
    }
  } catch (cause) {
    for (const { temporary } of pending) removeQuietly(temporary);
    for (const each of made.reverse()) removeEmptyQuietly(each);
    throw unwritablePath(current, cause);
  }
}

/** Whether a file holds a text already. */
export function holds(path: string, content: string): boolean {
  try {
    return readFileSync(path, "utf8") === content;
  } catch {
    return false;
  }
}

function removeEmptyQuietly(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Somebody else has put something there.
  }
}

/** Where the folder itself is wrong, even removing fails; what went wrong first is what matters. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // There is nothing left to remove.
  }
}

function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
}
