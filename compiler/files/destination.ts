import { accessSync, constants, lstatSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { systemCode } from "../../runtime/contract/system-reason.ts";
import { readOnlyFile } from "./errors.ts";

/** Where a written file really goes. */
export interface Destination {
  /** The file itself: symbolic links are followed, also those to files that are not there yet. */
  readonly path: string;
  /** What is there; null where there is nothing. */
  readonly replaced: Stats | null;
  /** A device, a pipe or a stream of this process: written to as it is, never replaced by a file. */
  readonly through: boolean;
}

/** Names of streams that are open already: a new file under the name would not be that stream. */
const OPEN_STREAM = /^\/(proc\/|dev\/(stdout|stderr|fd\/))/;
/** As `OPEN_STREAM`, of this process: with the number. */
const OPEN_DESCRIPTOR = /^\/(?:dev\/(?:(stdout)|(stderr)|fd\/(\d+))|proc\/self\/fd\/(\d+))$/;
/** As many links as Linux follows. */
const MOST_LINKS = 40;

/**
 * Finds out where a path leads, and refuses folders and files that their owner has made read-only.
 * @throws MtacError MTA906 for a read-only file (also for root, whom the system would let write); the system's errors
 */
export function destinationOf(path: string): Destination {
  // Resolved: the empty path means the current folder.
  const replaced = statSync(resolve(path), { throwIfNoEntry: false }) ?? null;
  if (replaced?.isDirectory()) throw Object.assign(new Error("it is a folder"), { code: "EISDIR" });
  if (OPEN_STREAM.test(resolve(path)) || (replaced !== null && !replaced.isFile()))
    return { path, replaced, through: true };
  if (replaced !== null) {
    if ((replaced.mode & 0o222) === 0) throw readOnlyFile(path);
    accessSync(path, constants.W_OK);
  }
  return { path: followLinks(path), replaced, through: false };
}

/**
 * The number of an open stream of this process that is a file, `mtac … --output /dev/stdout >> log` say: opened anew by its name, the file
 * would lose what was written to it before. null for everything else; pipes are the same by their names.
 */
export function openFileDescriptor(path: string): number | null {
  const [found, out, error, ...numbers] = OPEN_DESCRIPTOR.exec(resolve(path)) ?? [];
  if (found === undefined || !statSync(path).isFile()) return null;
  if (out !== undefined || error !== undefined) return out === undefined ? 2 : 1;
  return Number(numbers.find((each) => each !== undefined));
}

/** The file that a path means, whether it is there or not. @throws the system's errors, such as for a missing folder */
export function followLinks(path: string): string {
  let current = resolve(path);
  for (let link = 0; link < MOST_LINKS; link++) {
    const folder = realpathSync(dirname(current));
    current = join(folder, basename(current));
    if (lstatSync(current, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return current;
    current = resolve(folder, readlinkSync(current));
  }
  throw Object.assign(new Error("links lead in a circle"), { code: "ELOOP" });
}

/** Whether a path leads to something that is neither a file nor a folder. What cannot be looked at is left to whoever opens it. */
export function isPipeOrDevice(path: string): boolean {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats !== undefined && !stats.isFile() && !stats.isDirectory();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

/** Whether two paths mean one file, by whatever links they reach it. Devices and pipes are no files. */
export function sameFile(one: string, other: string): boolean {
  const [a, b] = [identityOf(one), identityOf(other)];
  return a !== null && a === b;
}

function identityOf(path: string): string | null {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return followLinks(path);
    return stats.isFile() ? `${stats.dev}:${stats.ino}` : null;
  } catch (error) {
    // What cannot be looked at cannot be written either, and is refused there.
    if (systemCode(error) === undefined) throw error;
    return null;
  }
}
