import { elementCount, MtacError } from "../contract/index.ts";
import { fileError, SAFETENSORS_CODES } from "./codes.ts";
import { toHostTensor } from "./convert.ts";
import { parseSafetensors } from "./read.ts";
import type { ByteSource, StoredTensor } from "./tensor.ts";

/** Which tensors of a file are the parameters. */
export interface ReadParametersOptions {
  /** What stands before the names in the file, `layers.2.` say. For a stack, `{layer}` is the layer's number; default `layers.{layer}.`. */
  readonly prefix?: string;
  /** What to call the file in messages. */
  readonly file?: string;
}

/**
 * Reads an attention's parameters from the bytes of a safetensors file, one that `mtac weights` wrote for example: F32, F16, BF16 and F64
 * become f32. Other tensors in the file are left alone.
 *
 * @param like Parameters with the names and shapes that are wanted, from `initParameters` of the launcher: a record, or for a stack the list
 *   of its layers' records. The result is a copy with the file's values.
 * @throws MtacError MTA651 … MTA659 (no safetensors file), MTA662 (element type), MTA663 (missing), MTA664 (shape)
 */
export function readParameters<Like extends object>(
  bytes: Uint8Array | ArrayBuffer | ByteSource,
  like: Like,
  { prefix, file = "safetensors" }: ReadParametersOptions = {},
): Like {
  const stored = parseSafetensors(bytes, file, { foreign: new Map() });
  const result = structuredClone(like);
  const stack = Array.isArray(result);
  const records: readonly unknown[] = stack ? result : [result];
  records.forEach((record, layer) => {
    const before = (prefix ?? (stack ? "layers.{layer}." : "")).replaceAll("{layer}", String(layer));
    const parameters: readonly (readonly [string, unknown])[] = Object.entries(record ?? {});
    for (const [name, parameter] of parameters) {
      if (!isParameter(parameter))
        throw new MtacError(SAFETENSORS_CODES.missingTensor, "input", `${name} is no parameter to read`, {
          remedy: "give what `initParameters` of the launcher returns",
        });
      fill(file, before + name, stored.get(before + name), parameter);
    }
  });
  return result;
}

/**
 * The values of a parameter's tensor as f32.
 * @throws MtacError MTA662 for a tensor of integers
 */
export function parameterValues(file: string, name: string, tensor: StoredTensor): Float32Array<ArrayBuffer> {
  const { dtype } = tensor;
  if (dtype === "I32" || dtype === "I64") throw notFloatingPoint(file, name, dtype);
  return Float32Array.from(toHostTensor(name, tensor).data);
}

export function notFloatingPoint(file: string, name: string, dtype: string): MtacError {
  return fileError(
    "notFloatingPoint",
    file,
    `the tensor ${name} is of type ${dtype}, and a parameter is not`,
    "store it as F32, F16, BF16 or F64",
  );
}

interface FilledParameter {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function isParameter(value: unknown): value is FilledParameter {
  return (
    typeof value === "object" &&
    value !== null &&
    "shape" in value &&
    Array.isArray(value.shape) &&
    "data" in value &&
    value.data instanceof Float32Array &&
    value.data.length === elementCount(value.shape)
  );
}

function fill(
  file: string,
  name: string,
  tensor: StoredTensor | undefined,
  { shape, data }: FilledParameter,
): void {
  const expected = `[${shape.join(", ")}]`;
  if (tensor === undefined)
    throw fileError(
      "missingTensor",
      file,
      `there is no tensor ${name} ${expected}`,
      "`mtac weights` makes such files; `prefix` says what stands before the names",
    );
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis]))
    throw fileError(
      "tensorShape",
      file,
      `the tensor ${name} has shape [${tensor.shape.join(", ")}]; expected ${expected}`,
      "read the weights of this attention, or change the stage that it belongs to",
    );
  data.set(parameterValues(file, name, tensor));
}
