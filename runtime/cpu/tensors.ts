import { checkLayout, checkTensorKind, hasLayout, type TensorKind } from "../contract/arguments.ts";
import {
  bytesPerElement,
  type DeviceStorage,
  decodeElements,
  encodeElements,
  hostDataFault,
  newLayout,
  spanBytes,
  type UploadSource,
} from "../contract/layout.ts";
import { OwnedLayout, type TensorOptions, type TypedTensor } from "../contract/typed-tensor.ts";
import { type CpuDevice, checkCpuDevice } from "./device.ts";
import { CpuError } from "./errors.ts";
import type { CpuMemory } from "./library.ts";

/** A tensor in memory that the library computes in. */
export interface CpuTensor<
  Storage extends DeviceStorage = DeviceStorage,
  Shape extends readonly number[] = readonly number[],
> extends TypedTensor<Storage, Shape> {
  readonly memory: CpuMemory;
  /** Bytes from its start to element 0: 0 if not given. */
  readonly offset?: number;
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis; the last one is 1. */
  readonly strides: readonly number[];
  /** f16 and bf16 take two bytes an element. */
  readonly storage: DeviceStorage;
}

/** A tensor whose memory mtac allocated, and which is the caller's: `destroy()` it, or declare it with `using`. */
export class OwnedCpuTensor<
    Storage extends DeviceStorage = DeviceStorage,
    Shape extends readonly number[] = readonly number[],
  >
  extends OwnedLayout<Storage, Shape>
  implements CpuTensor<Storage, Shape>
{
  readonly memory: CpuMemory;

  constructor(tensor: CpuTensor<Storage, Shape>, free: () => void) {
    super(tensor, free);
    this.memory = tensor.memory;
  }
}

/** The caller's own tensors get the methods, too, where they come back as results; their memory stays the caller's. */
export function owned(tensor: CpuTensor): OwnedCpuTensor {
  return tensor instanceof OwnedCpuTensor ? tensor : new OwnedCpuTensor(tensor, () => undefined);
}

export const CPU_TENSORS: TensorKind = {
  name: "a tensor on the device",
  remedy: "pass what upload(device, …) or allocate(device, …) of the same runtime gives",
  accepts: (tensor) => hasLayout(tensor) && "memory" in tensor && isMemory(tensor.memory),
};

function isMemory(memory: unknown): boolean {
  return typeof memory === "object" && memory !== null && "address" in memory && "size" in memory;
}

/**
 * @throws CpuError MTA887: the tensor's memory is not the device's, or not any more; MTA893, MTA894: the tensor does not lie within it, at a
 *   multiple of its elements.
 */
export function checkPlace(device: CpuDevice, name: string, tensor: CpuTensor): void {
  const { memory, offset = 0, storage, shape, strides } = tensor;
  if (!device.holds(memory))
    throw new CpuError("MTA887", `the memory of the tensor ${name} was freed, or is another device's`, {
      remedy: "keep it until the call has ended, or upload it again, to this device",
    });
  const element = bytesPerElement(storage);
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % element !== 0)
    throw new CpuError(
      "MTA893",
      `the tensor ${name} starts ${offset} bytes into its memory: no multiple of ${element}`,
      { remedy: CHECK_LAYOUT },
    );
  const end = offset + spanBytes(tensor);
  if (end > memory.size)
    throw new CpuError(
      "MTA894",
      `the tensor ${name} (${storage} [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}) reaches to byte ` +
        `${end}, ${end - memory.size} past the end of its memory (${memory.size} bytes)`,
      { remedy: CHECK_LAYOUT },
    );
}

const CHECK_LAYOUT = "check shape, strides and offset; what upload and allocate give is right";

/** The address of element 0. */
export function elementAddress({ memory, offset = 0 }: CpuTensor): bigint {
  return BigInt(memory.address) + BigInt(offset);
}

/**
 * Makes a tensor whose contents are zero; it is the caller's to destroy.
 *
 * @throws CpuError MTA887, MTA888, MTA899 (no device); MtacError MTA616 (shape or strides), MTA617 (storage).
 */
export function allocate<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: CpuDevice,
  shape: Shape,
  storage: Storage,
  options: TensorOptions = {},
): OwnedCpuTensor<Storage, Shape> {
  const tensor = allocateUninitialised(device, shape, storage, options);
  device.library.bytesOf(tensor.memory).fill(0);
  return tensor;
}

/** A tensor whose contents are whatever was there before: for results, which the library writes in full. */
export function allocateUninitialised<
  const Shape extends readonly number[],
  const Storage extends DeviceStorage,
>(
  device: CpuDevice,
  shape: Shape,
  storage: Storage,
  { strides, label = "tensor" }: TensorOptions = {},
): OwnedCpuTensor<Storage, Shape> {
  checkCpuDevice(device);
  const layout = newLayout(shape, storage, strides);
  const memory = device.allocate(Math.max(spanBytes(layout), 1), label);
  return new OwnedCpuTensor<Storage, Shape>({ memory, ...layout }, () => device.free(memory));
}

/**
 * Copies a host tensor to the library's memory, rounding to nearest even where the storage type is narrower.
 *
 * @param source `data` as Float32Array, Float64Array or Float16Array; as Int32Array for storage `i32`; as Uint16Array for the bits of
 *   `f16` or `bf16` elements.
 * @param strides Elements between neighbours along each axis of the result; gaps are zero.
 * @throws CpuError MTA887, MTA888, MTA897 (data does not match its shape or storage), MTA899; MtacError MTA616, MTA617.
 */
export function upload<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: CpuDevice,
  source: UploadSource<Shape>,
  storage: Storage,
  strides?: readonly number[],
): OwnedCpuTensor<Storage, Shape> {
  const fault = hostDataFault(source, storage, strides);
  if (fault !== null)
    throw new CpuError("MTA897", fault, {
      remedy: "give one value for each element: an Int32Array for i32, floats for other types",
    });
  const options = strides === undefined ? {} : { strides };
  const tensor = allocateUninitialised(device, source.shape, storage, options);
  const bytes = new Uint8Array(encodeElements(tensor, source.data), 0, spanBytes(tensor));
  device.library.bytesOf(tensor.memory).set(bytes);
  return tensor;
}

/**
 * Copies a tensor back, in row-major order of its shape, whatever its strides.
 *
 * @returns Float32Array, or Int32Array for storage `i32`.
 * @throws CpuError MTA887 (its memory was freed, too), MTA893, MTA894 (not within its memory), MTA899 (no device); MtacError MTA614 (no tensor), MTA616, MTA617.
 */
export async function download(device: CpuDevice, tensor: CpuTensor): Promise<Float32Array | Int32Array> {
  checkCpuDevice(device);
  checkTensorKind("tensor to download", tensor, CPU_TENSORS);
  checkLayout(tensor.shape, tensor.storage, tensor.strides);
  checkPlace(device, "to download", tensor);
  const { memory, offset = 0 } = tensor;
  const copy = device.library.bytesOf(memory).slice(offset, offset + spanBytes(tensor));
  return decodeElements(tensor, new Uint8Array(copy).buffer, 0);
}
