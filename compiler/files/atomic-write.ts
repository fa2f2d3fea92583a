import { randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { MtacError } from "../../runtime/contract/index.ts";
import { makeFolder } from "../../runtime/contract/make-folder.ts";
import { type Destination, destinationOf, openFileDescriptor } from "./destination.ts";
import { unwritablePath } from "./errors.ts";

/**
 * Writes a file whole or not at all: under another name beside it first, then renamed over it. A file that is replaced keeps its mode and,
 * where the system allows it, its owner. Links are followed; devices and pipes are written to as they are.
 * @throws MtacError MTA906
 */
export function writeAtomically(path: string, content: string | Uint8Array): void {
  let temporary: string | null = null;
  try {
    const destination = destinationOf(path);
    if (destination.through) {
      writeFileSync(openFileDescriptor(destination.path) ?? destination.path, content);
      return;
    }
    temporary = temporaryBeside(destination.path);
    writeBeside(temporary, content, destination);
    renameSync(temporary, destination.path);
  } catch (cause) {
    if (temporary !== null) removeQuietly(temporary);
    throw unwritable(path, cause);
  }
}

/**
 * Finds out before a long computation whether its result could be written, by making and removing a file there.
 * @throws MtacError MTA906
 */
export function checkWritable(path: string): void {
  let temporary: string | null = null;
  try {
    const destination = destinationOf(path);
    if (destination.through) {
      accessSync(destination.path, constants.W_OK);
      return;
    }
    temporary = temporaryBeside(destination.path);
    closeSync(openSync(temporary, "wx"));
  } catch (cause) {
    throw unwritable(path, cause);
  } finally {
    if (temporary !== null) removeQuietly(temporary);
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
  const through: { readonly content: string; readonly path: string }[] = [];
  const made: string[] = [];
  let current = folder;
  try {
    makeFolder(folder, made);
    for (const [name, content] of Object.entries(files)) {
      current = join(folder, name);
      makeFolder(dirname(current), made);
      if (holds(current, content)) continue;
      const destination = destinationOf(current);
      const { path } = destination;
      if (destination.through) {
        through.push({ content, path });
        continue;
      }
      const temporary = temporaryBeside(path);
      pending.push({ temporary, path });
      writeBeside(temporary, content, destination);
    }
    for (const { temporary, path } of pending) {
      current = path;
      renameSync(temporary, path);
    }
    for (const { content, path } of through) {
      current = path;
      writeFileSync(openFileDescriptor(path) ?? path, content);
    }
  } catch (cause) {
    for (const { temporary } of pending) removeQuietly(temporary);
    for (const each of made.reverse()) removeEmptyQuietly(each);
    throw unwritable(current, cause);
  }
}

/** Whether a file holds a text already. Devices and pipes hold nothing: reading them may never end. */
export function holds(path: string, content: string): boolean {
  try {
    return statSync(path).isFile() && readFileSync(path, "utf8") === content;
  } catch {
    return false;
  }
}

function writeBeside(temporary: string, content: string | Uint8Array, { replaced }: Destination): void {
  writeFileSync(temporary, content, { flag: "wx" });
  if (replaced !== null) keepOwnerAndMode(temporary, replaced);
}

/**
 * Makes a new file that of whoever owned the one that it replaces. Only root may give files away; others keep what they can: the mode,
 * and the group where they belong to it.
 */
export function keepOwnerAndMode(path: string, { uid, gid, mode }: Stats): void {
  const made = statSync(path);
  if (made.uid !== uid || made.gid !== gid) {
    try {
      chownSync(path, uid, gid);
    } catch {
      // The new file is the writer's own then.
    }
  }
  // After the owner, since a change of owner clears some of its bits.
  if ((made.mode & 0o7777) !== (mode & 0o7777)) chmodSync(path, mode & 0o7777);
}

function unwritable(path: string, cause: unknown): MtacError {
  return cause instanceof MtacError ? cause : unwritablePath(path, cause);
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
