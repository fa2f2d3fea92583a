import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { notUtf8, unreadableFile } from "./errors.ts";

/**
 * The text of a file, which must be UTF-8: a decoder that guessed would lose characters, and `mtac fmt` would write the loss back.
 * @throws MtacError MTA905
 */
export function readUtf8(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw unreadableFile(path, cause);
  }
  return decodeUtf8(bytes, path);
}

/**
 * @param name what to call the text's origin in messages
 * @throws MtacError MTA905
 */
export function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw notUtf8(name, cause);
  }
}

/** Tells texts apart: 64 hexadecimal digits. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
