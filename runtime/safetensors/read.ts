import { describeValue } from "../contract/arguments.ts";
import { fileError } from "./codes.ts";
import { MAX_HEADER_BYTES, parseHeader } from "./header.ts";
import { type ByteSource, ELEMENT_BYTES, isElementType, TensorView } from "./tensor.ts";

/** Bytes before the header: its length, 64 bits, little-endian. */
const LENGTH_BYTES = 8;

/** How a safetensors file is read. */
export interface ParseOptions {
  /** Gets the tensors of types that mtac does not read, name to type, which are refused otherwise. */
  readonly foreign?: Map<string, string>;
}

/**
 * Reads a safetensors file. Tensors are views: nothing is copied or converted until their `data` is asked for.
 * @param given the file's bytes, as a response's `bytes()` or `arrayBuffer()` gives them, or where to read them
 * @param file what to call the file in messages
 * @throws MtacError MTA651 … MTA659
 */
export function parseSafetensors(
  given: Uint8Array | ArrayBuffer | ByteSource,
  file: string,
  { foreign }: ParseOptions = {},
): Map<string, TensorView> {
  const remedy = "the file is damaged or no safetensors file: write it again";
  const source = sourceOf(given, file);
  const { byteLength } = source;
  if (byteLength < LENGTH_BYTES) {
    throw fileError("truncated", file, `${byteLength} bytes are too few for a safetensors file`, remedy);
  }
  const lengthBytes = source.read(0, LENGTH_BYTES);
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw fileError(
      "headerTooLong",
      file,
      `its header would take ${length} bytes (at most ${MAX_HEADER_BYTES})`,
      remedy,
    );
  }
  const dataStart = LENGTH_BYTES + Number(length);
  if (dataStart > byteLength) {
    const problem = `it ends inside the header: ${byteLength} bytes, of which the header takes ${length}`;
    throw fileError("truncated", file, problem, remedy);
  }
  const tensors = new Map<string, TensorView>();
  const text = headerText(source.read(LENGTH_BYTES, dataStart), file);
  for (const { name, dtype, shape, begin, end } of parseHeader(text, byteLength - dataStart, file)) {
    const read = (): Uint8Array => source.read(dataStart + begin, dataStart + end);
    if (isElementType(dtype)) tensors.set(name, new TensorView(dtype, shape, read));
    else if (foreign !== undefined) foreign.set(name, dtype);
    else throw unsupportedType(name, dtype, file);
  }
  return tensors;
}

function sourceOf(given: Uint8Array | ArrayBuffer | ByteSource, file: string): ByteSource {
  if (ArrayBuffer.isView(given))
    return memorySource(new Uint8Array(given.buffer, given.byteOffset, given.byteLength));
  if (given instanceof ArrayBuffer) return memorySource(new Uint8Array(given));
  if (isSource(given)) return given;
  const problem = `its bytes are ${describeValue(given)}, not a Uint8Array`;
  throw fileError(
    "truncated",
    file,
    problem,
    "pass the file's bytes: await response.arrayBuffer(), for example",
  );
}

function memorySource(bytes: Uint8Array): ByteSource {
  return { byteLength: bytes.length, read: (begin, end) => bytes.subarray(begin, end) };
}

function isSource(given: unknown): given is ByteSource {
  return typeof given === "object" && given !== null && "read" in given && typeof given.read === "function";
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
