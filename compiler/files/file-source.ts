import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import type { ByteSource } from "../../runtime/safetensors/index.ts";
import { unreadableFile } from "./errors.ts";

/** As many bytes as one call of the system reads. */
const MOST_AT_ONCE = 2 ** 30;

/**
 * A file's bytes, read piece by piece where they are wanted: a model's state dict may hold more than one array can. Pipes and other things
 * without places are read whole.
 *
 * @throws MtacError MTA905, also later, when the file has become shorter or is gone
 */
export function fileSource(path: string): ByteSource {
  try {
    // Not by opening it: a pipe is opened once, by who reads it.
    const stat = statSync(path);
    if (stat.isFile()) return { byteLength: stat.size, read: (begin, end) => readPiece(path, begin, end) };
    const bytes = readFileSync(path);
    return { byteLength: bytes.length, read: (begin, end) => bytes.subarray(begin, end) };
  } catch (cause) {
    throw unreadableFile(path, cause);
  }
}

function readPiece(path: string, begin: number, end: number): Uint8Array {
  let file: number | null = null;
  try {
    file = openSync(path, "r");
    const bytes = new Uint8Array(end - begin);
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(file, bytes, at, Math.min(bytes.length - at, MOST_AT_ONCE), begin + at);
      if (read === 0) throw new Error("it has become shorter while it was read");
      at += read;
    }
    return bytes;
  } catch (cause) {
    throw unreadableFile(path, cause);
  } finally {
    if (file !== null) closeSync(file);
  }
}
