import { elementCount } from "../contract/index.ts";
import { fileError } from "./codes.ts";
import { ELEMENT_BYTES, type ElementArray, type ElementType, type StoredTensor } from "./tensor.ts";

/**
 * The bytes of a safetensors file. The same tensors give the same bytes: wide elements first, so that all are aligned, then
 * by name; the header is padded with blanks to 8 bytes.
 * @throws MtacError MTA661 when a tensor's data does not fit its type or shape.
 */
export function writeSafetensors(tensors: ReadonlyMap<string, StoredTensor>): Uint8Array {
  const ordered = [...tensors].toSorted(
    ([leftName, left], [rightName, right]) =>
      ELEMENT_BYTES[right.dtype] - ELEMENT_BYTES[left.dtype] || (leftName < rightName ? -1 : 1),
  );
  // Pairs, not an object: keys that look like numbers would change places in one.
  const lines: string[] = [];
  let offset = 0;
  for (const [name, tensor] of ordered) {
    checkTensor(name, tensor);
    const end = offset + tensor.data.byteLength;
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, end] };
    lines.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset = end;
  }
  const text = new TextEncoder().encode(`{${lines.join(",")}}`);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerBytes + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(text, 8);
  bytes.fill(0x20, 8 + text.length, 8 + headerBytes);
  let at = 8 + headerBytes;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

function checkTensor(name: string, { dtype, shape, data }: StoredTensor): void {
  const fits = name !== "__metadata__" && holds(dtype, data) && elementCount(shape) === data.length;
  if (fits) return;
  const problem = `the tensor ${name} of type ${dtype} and shape [${shape.join(", ")}] cannot be written from ${data.length} elements of ${data.constructor.name}`;
  throw fileError("unwritable", "safetensors", problem, "match data, type and shape");
}

function holds(dtype: ElementType, data: ElementArray): boolean {
  switch (dtype) {
    case "F64":
      return data instanceof Float64Array;
    case "I64":
      return data instanceof BigInt64Array;
    case "F32":
      return data instanceof Float32Array;
    case "I32":
      return data instanceof Int32Array;
    case "F16":
    case "BF16":
      return data instanceof Uint16Array;
  }
}
