import { describeValue } from "../contract/arguments.ts";
import { fileError } from "./codes.ts";
import { MAX_HEADER_BYTES, parseHeader } from "./header.ts";
import { ELEMENT_BYTES, isElementType, TensorView } from "./tensor.ts";

/** Bytes before the header: its length, 64 bits, little-endian. */
const LENGTH_BYTES = 8;

export interface ParseOptions {
  /** Gets the tensors of types that mtac does not read, name to type, which are refused otherwise. */
  readonly foreign?: Map<string, string>;
}

/** Where a file's bytes come from: memory, or a disk from which only what is asked for is read. */
export interface ByteSource {
  readonly length: number;
  /** The bytes from `begin` up to `end`, which lies within. */
  slice(begin: number, end: number): Uint8Array;
}

/**
 * Reads a safetensors file. Tensors are views: nothing is copied or converted until their `data` is asked for.
 * @param given the file's bytes, as a response's `bytes()` or `arrayBuffer()` gives them
 * @param file what to call the file in messages
 * @throws MtacError MTA651 … MTA659
 */
export function parseSafetensors(
  given: Uint8Array | ArrayBuffer,
  file: string,
  options: ParseOptions = {},
): Map<string, TensorView> {
  const bytes = bytesOf(given, file);
  return readSafetensors(
    { length: bytes.length, slice: (begin, end) => bytes.subarray(begin, end) },
    file,
    options,
  );
}

/**
 * As `parseSafetensors`, of files that need not lie in memory.
 * @throws MtacError MTA651 … MTA659, and what the source throws; so does `data` of a tensor
 */
export function readSafetensors(
  source: ByteSource,
  file: string,
  { foreign }: ParseOptions = {},
): Map<string, TensorView> {
  const remedy = "the file is damaged or no safetensors file: write it again";
  if (source.length < LENGTH_BYTES) {
    throw fileError("truncated", file, `${source.length} bytes are too few for a safetensors file`, remedy);
  }
  const prefix = source.slice(0, LENGTH_BYTES);
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw fileError(
      "headerTooLong",
      file,
      `its header would take ${length} bytes (at most ${MAX_HEADER_BYTES})`,
      remedy,
    );
  }
  const start = LENGTH_BYTES + Number(length);
  if (start > source.length) {
    const problem = `it ends inside the header: ${source.length} bytes, of which the header takes ${length}`;
    throw fileError("truncated", file, problem, remedy);
  }
  const tensors = new Map<string, TensorView>();
  const text = headerText(source.slice(LENGTH_BYTES, start), file);
  for (const { name, dtype, shape, begin, end } of parseHeader(text, source.length - start, file)) {
    const read = (): Uint8Array => source.slice(start + begin, start + end);
    if (isElementType(dtype)) tensors.set(name, new TensorView(dtype, shape, read));
    else if (foreign !== undefined) foreign.set(name, dtype);
    else throw unsupportedType(name, dtype, file);
  }
  return tensors;
}

function bytesOf(given: unknown, file: string): Uint8Array {
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  const problem = `its bytes are ${describeValue(given)}, not a Uint8Array`;
  throw fileError(
    "truncated",
    file,
    problem,
    "pass the file's bytes: await response.arrayBuffer(), for example",
  );
}

function headerText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const remedy = "the file is damaged or no safetensors file: write it again";
    throw fileError("headerNotJson", file, "the header is not UTF-8 text", remedy);
  }
}

function unsupportedType(name: string, dtype: string, file: string): Error {
  const known = Object.keys(ELEMENT_BYTES).join(", ");
  return fileError(
    "unsupportedType",
    file,
    `the tensor ${name} is of type ${dtype}`,
    `convert it to one of ${known}`,
  );
}
