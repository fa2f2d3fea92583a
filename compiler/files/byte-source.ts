import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { unreadableFile } from "./errors.ts";

/** A file whose bytes are read when they are asked for: it may be larger than memory. */
export interface FileBytes {
  readonly length: number;
  /** @throws MtacError MTA905 */
  slice(begin: number, end: number): Uint8Array;
}

/** As many bytes as systems read at once. */
const MOST_AT_ONCE = 2 ** 30;

/**
 * Opens a file for reading in pieces. What is no file, a pipe say, can be read once only, and is read whole.
 * @throws MtacError MTA905
 */
export function openBytes(path: string): FileBytes {
  try {
    const stats = statSync(path);
    if (stats.isFile()) return { length: stats.size, slice: (begin, end) => readRange(path, begin, end) };
    const bytes = readFileSync(path);
    return { length: bytes.length, slice: (begin, end) => bytes.subarray(begin, end) };
  } catch (cause) {
    throw unreadableFile(path, cause);
  }
}

function readRange(path: string, begin: number, end: number): Uint8Array {
  try {
    const bytes = new Uint8Array(end - begin);
    const file = openSync(path, "r");
    try {
      for (let done = 0; done < bytes.length; ) {
        const wanted = Math.min(bytes.length - done, MOST_AT_ONCE);
        const read = readSync(file, bytes, done, wanted, begin + done);
        if (read === 0) throw new Error("it has become shorter while it was read");
        done += read;
      }
    } finally {
      closeSync(file);
    }
    return bytes;
  } catch (cause) {
    throw unreadableFile(path, cause);
  }
}
