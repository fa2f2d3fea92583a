import { readSettings, type Settings } from "./settings.ts";

/** Settings as a link's fragment: JSON, deflated, in base64url, behind the number of the format. */

const FORMAT = "1.";

/** Longer links are refused by some programs that links go through. */
export const MOST_FRAGMENT = 30_000;

/** A link that unpacks to more than this is no playground's. */
const MOST_BYTES = 400_000;

/** A link that cannot be read, and why. */
export class LinkError extends Error {
  override readonly name = "LinkError";
}

/**
 * The fragment, without `#`, that brings these settings back.
 * @throws LinkError when it would be longer than `MOST_FRAGMENT`
 */
export async function encodeSettings(settings: Settings): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(settings));
  const packed = await collect(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw")));
  const fragment = FORMAT + toBase64Url(packed);
  if (fragment.length > MOST_FRAGMENT)
    throw new LinkError("the spec is too long for a link: shorten it, or share it as a file");
  return fragment;
}

/**
 * The settings that a fragment, without `#`, carries.
 * @throws LinkError when it carries none
 */
export async function decodeFragment(fragment: string): Promise<Settings> {
  if (!fragment.startsWith(FORMAT)) throw new LinkError("it is of no format that this page knows");
  if (fragment.length > MOST_FRAGMENT) throw new LinkError("it is too long");
  const packed = fromBase64Url(fragment.slice(FORMAT.length));
  const settings = readSettings(await unpack(packed));
  if (settings === null) throw new LinkError("it carries no spec");
  return settings;
}

async function unpack(packed: Uint8Array<ArrayBuffer>): Promise<unknown> {
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await collect(stream));
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    if (error instanceof LinkError) throw error;
    throw new LinkError("it was cut off or changed");
  }
}

async function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.byteLength;
    if (bytes > MOST_BYTES) {
      await reader.cancel();
      throw new LinkError("it unpacks to more than any spec needs");
    }
    chunks.push(part.value);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function toBase64Url(bytes: Uint8Array): string {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]+$/.test(text))
    throw new LinkError("it has characters that links of this page have not");
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) =>
      character.charCodeAt(0),
    );
  } catch {
    throw new LinkError("it was cut off or changed");
  }
}
