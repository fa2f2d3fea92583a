import { fileError } from "./codes.ts";
import { ELEMENT_BYTES, isElementType } from "./tensor.ts";

/** One tensor of a header, checked: offsets count bytes from the end of the header. */
export interface HeaderEntry {
  readonly name: string;
  /** As the file names it; it may be one that mtac does not read. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** The format's own limit: a longer header is a file of another kind. */
export const MAX_HEADER_BYTES = 100_000_000;

/** More than any framework writes; messages hold names, types and shapes whole. */
const MOST_NAME_CHARACTERS = 1024;
const MOST_TYPE_CHARACTERS = 64;
const MOST_AXES = 64;

const BROKEN = "the file is damaged or no safetensors file: write it again";

/**
 * Checks a header's text. Tensors must lie one after the other without gap or overlap, up to the end of the data.
 * @throws MtacError MTA653 … MTA659
 */
export function parseHeader(text: string, dataBytes: number, file: string): HeaderEntry[] {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw fileError("headerNotJson", file, `the header is not JSON (${String(cause)})`, BROKEN);
  }
  if (!isRecord(header)) throw fileError("headerNotJson", file, "the header is not a JSON object", BROKEN);
  const twice = duplicateKey(text);
  if (twice !== null) {
    throw fileError(
      "duplicateName",
      file,
      `the header lists ${twice.slice(0, MOST_NAME_CHARACTERS)} twice`,
      "give every tensor a name of its own",
    );
  }
  const entries: HeaderEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") checkMetadata(value, file);
    else entries.push(checkEntry(name, value, dataBytes, file));
  }
  checkCover(entries, dataBytes, file);
  return entries;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whole numbers from 0 that a double holds exactly. */
function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function checkMetadata(value: unknown, file: string): void {
  if (isRecord(value) && Object.values(value).every((text) => typeof text === "string")) return;
  throw fileError("badEntry", file, "__metadata__ is not an object of strings", BROKEN);
}

function checkEntry(name: string, value: unknown, dataBytes: number, file: string): HeaderEntry {
  if (name.length > MOST_NAME_CHARACTERS)
    throw fileError(
      "nameTooLong",
      file,
      `the tensor ${name.slice(0, 40)}… has a name of ${name.length} characters (at most ${MOST_NAME_CHARACTERS})`,
      "give it a shorter name",
    );
  const bad = (what: string): Error => fileError("badEntry", file, `the tensor ${name} ${what}`, BROKEN);
  if (!isRecord(value)) throw bad("is not described by an object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw bad("has no dtype");
  if (dtype.length > MOST_TYPE_CHARACTERS) throw bad(`has a dtype of ${dtype.length} characters`);
  if (!Array.isArray(shape) || !shape.every(isCount)) throw bad("has no shape of whole numbers");
  if (shape.length > MOST_AXES) throw bad(`has ${shape.length} axes (at most ${MOST_AXES})`);
  if (!Array.isArray(offsets) || offsets.length !== 2) throw bad("has no two data_offsets");
  const [begin, end]: readonly unknown[] = offsets;
  if (!isCount(begin) || !isCount(end)) throw bad("has data_offsets that are not whole numbers");
  if (begin > end || end > dataBytes) {
    const problem = `the tensor ${name} lies at bytes ${begin} to ${end}, but the file holds ${dataBytes} bytes of data`;
    throw fileError("offsetsOutside", file, problem, BROKEN);
  }
  // How large elements of other types are, their readers know.
  if (!isElementType(dtype)) return { name, dtype, shape, begin, end };
  const bytes = shape.reduce((product: number, size: number) => product * size, ELEMENT_BYTES[dtype]);
  if (bytes !== end - begin) {
    const problem = `the tensor ${name} of type ${dtype} and shape [${shape.join(", ")}] takes ${bytes} bytes, not ${end - begin}`;
    throw fileError("sizeMismatch", file, problem, BROKEN);
  }
  return { name, dtype, shape, begin, end };
}

function checkCover(entries: readonly HeaderEntry[], dataBytes: number, file: string): void {
  let covered = 0;
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) {
      const problem =
        begin < covered
          ? `the tensor ${name} overlaps the one before it (byte ${begin} of the data)`
          : `bytes ${covered} to ${begin} of the data belong to no tensor`;
      throw fileError("offsetsOverlap", file, problem, BROKEN);
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw fileError(
      "offsetsOverlap",
      file,
      `bytes ${covered} to ${dataBytes} of the data belong to no tensor`,
      BROKEN,
    );
  }
}

/**
 * The first key of the outermost object that stands twice in valid JSON, or null. JSON.parse keeps the last one in
 * silence, and a tensor would be lost.
 */
function duplicateKey(text: string): string | null {
  const seen = new Set<string>();
  let depth = 0;
  // A loop, not a regular expression: those run out of stack in strings of megabytes.
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") depth -= 1;
    else if (character === '"') {
      const end = stringEnd(text, at);
      if (depth === 1 && isKey(text, end)) {
        const key = String(JSON.parse(text.slice(at, end + 1)));
        if (seen.has(key)) return key;
        seen.add(key);
      }
      at = end;
    }
  }
  return null;
}

/** Whether a colon follows the string that ends at `end`. */
function isKey(text: string, end: number): boolean {
  let at = end + 1;
  while (" \n\r\t".includes(text[at] ?? ":")) at += 1;
  return text[at] === ":";
}

/** Where a string ends that begins at `start`: at the next quote that no odd number of backslashes precedes. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length;
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return quote;
    at = quote;
  }
}
