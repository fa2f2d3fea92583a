import { randomUUID } from "node:crypto";
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { MtacError } from "../../runtime/contract/index.ts";
import { makeFolder } from "../../runtime/contract/make-folder.ts";
import { systemCode } from "../../runtime/contract/system-reason.ts";
import { keepOwnerAndMode } from "../files/atomic-write.ts";
import { noTuningStore, unreadableStore, unwritableStore } from "./errors.ts";
import { formatLine, type IgnoredLine, type ReadLine, type ReadLines, readLines } from "./lines.ts";
import { type HeldLock, withLock } from "./lock.ts";
import { readRecord } from "./read-record.ts";
import type { TuningRecord } from "./record.ts";
import { storePath } from "./store-path.ts";

export interface StoreContents {
  /** In the order in which they were written. */
  readonly records: readonly TuningRecord[];
  /** Damaged lines, and those of other formats. */
  readonly ignored: readonly IgnoredLine[];
}

/** What was decided about a store's records, and the lines that could not be read. */
export interface Rewritten<Decision> {
  readonly decision: Decision;
  readonly ignored: readonly IgnoredLine[];
}

/** How often a line is written when the store is replaced under its writer's hands. */
const ATTEMPTS = 5;

/** @param file Default: `$XDG_CACHE_HOME/mtac/tuning.jsonl`. Nothing is read or made before it is needed. */
export function openStore(file: string = storePath()): TuningStore {
  return new TuningStore(file);
}

/**
 * Measurements on disk: a file of lines to which any number of processes append. A line that was cut short, by a kill, a full
 * disk or a power failure, is ignored when reading and never spoils another: whoever appends next begins a new line. It
 * is left where it is, since cutting it off is the one thing that could destroy another process's line.
 */
export class TuningStore {
  readonly file: string;
  #checked = false;

  constructor(file: string) {
    this.file = path.resolve(file);
  }

  /**
   * Finds out before a long sweep whether its results could be appended.
   * @throws MtacError MTA870, MTA871, MTA931 (the file holds something else)
   */
  check(): void {
    checkTarget(this.file);
    this.#readOwn(this.file);
    this.#checked = true;
  }

  /**
   * Appends a record; when this returns, it has reached the disk.
   *
   * @throws MtacError as `check`; MTA871 (the disk is full, the folder is read-only …), MTA872 (another process holds the lock for too
   * long); RangeError when it is no record.
   */
  append(record: TuningRecord): void {
    const text = lineOf(record);
    if (!this.#checked) this.check();
    this.#locked((target) => appendText(target, text));
  }

  /**
   * Appends those of the records that are not there yet, all at once; gives their number.
   * @throws as `append`, and MTA870 when the store cannot be read
   */
  appendMissing(records: readonly TuningRecord[]): number {
    const lines = new Set(records.map(lineOf));
    return this.#locked((target) => {
      for (const { record } of this.#readOwn(target).lines) lines.delete(formatLine(record));
      if (lines.size > 0) appendText(target, [...lines].join(""));
      return lines.size;
    });
  }

  /**
   * All records; none where there is no such file. Takes no lock: a line that is just being written counts as ignored.
   * @throws MtacError MTA870
   */
  read(): StoreContents {
    const { lines, ignored } = this.#read(this.file);
    return { records: lines.map(({ record }) => record), ignored };
  }

  /**
   * Rewrites the store with some of its records, whose lines stay as they are; ignored lines go. The new file is written
   * beside and renamed, while nobody else can append. Where nothing is to go, nothing is written.
   *
   * @param decide Says which records stay; what it gives is given back.
   * @throws MtacError as `append`, MTA870 when the store cannot be read, MTA873 when the lock was lost: then nothing was changed
   */
  rewrite<Decision extends { readonly kept: ReadonlySet<TuningRecord> }>(
    decide: (records: readonly TuningRecord[]) => Decision,
  ): Rewritten<Decision> {
    return this.#locked((target, held) => {
      const { lines, ignored } = this.#readOwn(target);
      const decision = decide(lines.map(({ record }) => record));
      const staying = lines.filter(({ record }) => decision.kept.has(record));
      if (staying.length < lines.length || ignored.length > 0) replaceLines(target, staying, held);
      return { decision, ignored };
    });
  }

  /** The lines of what is to be written to: not those of a file of another kind. */
  #readOwn(target: string): ReadLines {
    const read = this.#read(target);
    if (read.foreign) throw noTuningStore(this.file);
    return read;
  }

  #read(target: string): ReadLines {
    try {
      return readLines(readFileSync(target));
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return { lines: [], ignored: [], foreign: false };
      throw unreadableStore(this.file, cause);
    }
  }

  #locked<T>(action: (target: string, held: HeldLock) => T): T {
    try {
      makeFolder(path.dirname(this.file));
      // By whatever name it is reached, a store has one lock, and renaming must not replace a link to it.
      const target = realPath(this.file);
      checkTarget(target);
      return withLock(`${target}.lock`, (held) => action(target, held));
    } catch (cause) {
      if (cause instanceof MtacError || systemCode(cause) === undefined) throw cause;
      throw unwritableStore(this.file, cause);
    }
  }
}

/**
 * Lines are appended to files alone, and not to those that their owner made read-only, whoever writes.
 * @throws MtacError MTA871
 */
function checkTarget(target: string): void {
  let stats: Stats | undefined;
  try {
    stats = statSync(target, { throwIfNoEntry: false });
  } catch (cause) {
    throw unwritableStore(target, cause);
  }
  if (stats === undefined) return;
  if (!stats.isFile())
    throw unwritableStore(target, new Error(stats.isDirectory() ? "it is a folder" : "it is no file"));
  if ((stats.mode & 0o222) === 0) throw unwritableStore(target, new Error("the file is read-only"));
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    return path.join(realpathSync(path.dirname(file)), path.basename(file));
  }
}

/** A record that could not be read back would be lost. */
function lineOf(record: TuningRecord): string {
  try {
    return formatLine(readRecord(record));
  } catch (cause) {
    throw new RangeError(`no tuning record: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function appendText(target: string, text: string): void {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (appendOnce(target, text)) return;
  throw unwritableStore(target, new Error("another program keeps replacing it"));
}

/** Whether the file that was written to still is the store: somebody may have removed or replaced it by hand. */
function appendOnce(target: string, text: string): boolean {
  const file = openSync(target, "a+");
  try {
    const { size } = fstatSync(file);
    writeWhole(file, Buffer.from(endsLine(file, size) ? text : `\n${text}`));
    fsyncSync(file);
    if (size === 0) syncFolder(path.dirname(target));
    const there = statSync(target, { bigint: true, throwIfNoEntry: false });
    return there?.ino === fstatSync(file, { bigint: true }).ino;
  } finally {
    closeSync(file);
  }
}

function endsLine(file: number, size: number): boolean {
  if (size === 0) return true;
  const last = Buffer.alloc(1);
  readSync(file, last, 0, 1, size - 1);
  return last[0] === 0x0a;
}

/** One write, as a rule. A disk that fills up takes a part, and says so when it is asked to take the rest. */
function writeWhole(file: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}

function replaceLines(target: string, lines: readonly ReadLine[], held: HeldLock): void {
  removeUnfinished(target);
  const beside = `${target}.${randomUUID()}.rewrite`;
  try {
    const file = openSync(beside, "wx", statSync(target).mode);
    try {
      for (const { text } of lines) writeWhole(file, Buffer.from(`${text}\n`));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    keepOwnerAndMode(beside, statSync(target));
    held.check();
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  syncFolder(path.dirname(target));
}

/** What rewriting left behind where it was killed: nobody else can be at it now. */
function removeUnfinished(target: string): void {
  const folder = path.dirname(target);
  for (const name of readdirSync(folder))
    if (name.startsWith(`${path.basename(target)}.`) && name.endsWith(".rewrite"))
      rmSync(path.join(folder, name), { force: true });
}

/** Makes a new name in a folder durable, where the system has a call for that: Windows has none, and needs none. */
function syncFolder(folder: string): void {
  try {
    const file = openSync(folder, "r");
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    // The file itself is safe; only a power failure in the next seconds could take its name.
  }
}
