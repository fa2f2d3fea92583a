import { type Float64Tensor, type HostTensor, type NarrowType, pack, unpack } from "../contract/index.ts";
import { fileError } from "./codes.ts";
import type { ElementType, StoredTensor } from "./tensor.ts";

/**
 * The values of a stored tensor: f16 and bf16 unpacked to f32, i64 narrowed to i32. F64 stays as it is.
 * @throws MtacError MTA660 when an I64 value does not fit 32 bits.
 */
export function toHostTensor(name: string, tensor: StoredTensor): HostTensor {
  const { shape, data } = tensor;
  if (data instanceof Uint16Array) {
    const storage: NarrowType = tensor.dtype === "BF16" ? "bf16" : "f16";
    return { shape, data: unpack(storage, data), storage };
  }
  if (data instanceof BigInt64Array) return { shape, data: narrow(name, data), storage: "i64" };
  if (data instanceof Int32Array) return { shape, data, storage: "i32" };
  return data instanceof Float32Array ? { shape, data, storage: "f32" } : { shape, data };
}

/** The values of a stored tensor for the reference, exact (but for I64, which must fit 32 bits). */
export function toFloat64Tensor(name: string, tensor: StoredTensor): Float64Tensor {
  return { shape: tensor.shape, data: Float64Array.from(toHostTensor(name, tensor).data) };
}

/** A tensor to write, its values rounded to the type. */
export function fromValues(
  dtype: ElementType,
  shape: readonly number[],
  values: ArrayLike<number>,
): StoredTensor {
  switch (dtype) {
    case "F64":
      return { dtype, shape, data: Float64Array.from(values) };
    case "F32":
      return { dtype, shape, data: Float32Array.from(values) };
    case "I32":
      return { dtype, shape, data: Int32Array.from(values) };
    case "I64":
      return {
        dtype,
        shape,
        data: BigInt64Array.from(Array.from(values, (value) => BigInt(Math.trunc(value)))),
      };
    case "F16":
      return { dtype, shape, data: pack("f16", values) };
    case "BF16":
      return { dtype, shape, data: pack("bf16", values) };
  }
}

function narrow(name: string, values: BigInt64Array): Int32Array {
  const narrowed = new Int32Array(values.length);
  values.forEach((value, index) => {
    if (BigInt.asIntN(32, value) !== value) {
      const problem = `the tensor ${name} holds ${value} at index ${index}, which 32 bits do not hold`;
      throw fileError(
        "integerRange",
        "safetensors",
        problem,
        "keep integers within int32, -2^31 to 2^31 - 1",
      );
    }
    narrowed[index] = Number(value);
  });
  return narrowed;
}
