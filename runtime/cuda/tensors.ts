import { checkLayout, checkTensorKind, hasLayout, type TensorKind } from "../contract/arguments.ts";
import {
  type DeviceStorage,
  decodeElements,
  encodeElements,
  hostDataFault,
  newLayout,
  spanBytes,
  type UploadSource,
} from "../contract/layout.ts";
import { OwnedLayout, type TensorOptions, type TypedTensor } from "../contract/typed-tensor.ts";
import { type CudaDevice, checkCudaDevice } from "./device.ts";
import { CudaError, hex } from "./errors.ts";

/**
 * A tensor in device memory: made by `upload` or `allocate`, or the caller's own (a pointer of another library). Its type may
 * say its storage and shape: `CudaTensor<"f16", readonly [number, 16, number, 64]>`.
 */
export interface CudaTensor<
  Storage extends DeviceStorage = DeviceStorage,
  Shape extends readonly number[] = readonly number[],
> extends TypedTensor<Storage, Shape> {
  /** Where its memory starts, a CUdeviceptr. */
  readonly address: bigint;
  /** Bytes from there to element 0: 0 if not given. */
  readonly offset?: number;
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis; the last one is 1. */
  readonly strides: readonly number[];
  /** f16 and bf16 take two bytes an element. */
  readonly storage: DeviceStorage;
}

/** A tensor whose memory mtac allocated, and which is the caller's: `destroy()` it, or declare it with `using`. */
export class OwnedCudaTensor<
    Storage extends DeviceStorage = DeviceStorage,
    Shape extends readonly number[] = readonly number[],
  >
  extends OwnedLayout<Storage, Shape>
  implements CudaTensor<Storage, Shape>
{
  readonly address: bigint;

  constructor(tensor: CudaTensor<Storage, Shape>, free: () => void) {
    super(tensor, free);
    this.address = tensor.address;
  }

  /** For `release`. */
  override disown(): boolean {
    return super.disown();
  }
}

/** The caller's own tensors get the methods, too, where they come back as results; their memory stays the caller's. */
export function owned(tensor: CudaTensor): OwnedCudaTensor {
  return tensor instanceof OwnedCudaTensor ? tensor : new OwnedCudaTensor(tensor, () => undefined);
}

export const CUDA_TENSORS: TensorKind = {
  name: "a tensor on the device",
  remedy: "pass what upload(device, …) or allocate(device, …) of mtac/runtime/cuda gives",
  accepts: (tensor) => hasLayout(tensor) && "address" in tensor && typeof tensor.address === "bigint",
};

/** The address of element 0. */
export function elementAddress({ address, offset = 0 }: CudaTensor): bigint {
  return address + BigInt(offset);
}

/**
 * Makes a tensor whose contents are zero. Its memory is the caller's: `release(device, tensor)` frees it.
 *
 * @throws CudaError MTA805, MTA806, MTA832, MTA842 (no device); MtacError MTA616 (shape or strides), MTA617 (storage).
 */
export function allocate<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: CudaDevice,
  shape: Shape,
  storage: Storage,
  options: TensorOptions = {},
): OwnedCudaTensor<Storage, Shape> {
  const { tensor, bytes } = make(device, shape, storage, options);
  return filled(device, tensor, () => device.backend.fill(tensor.address, bytes, 0));
}

/** A tensor whose contents are whatever was there before: for results, which kernels write in full. */
export function allocateUninitialised(
  device: CudaDevice,
  shape: readonly number[],
  storage: DeviceStorage,
  options: TensorOptions = {},
): OwnedCudaTensor {
  return make(device, shape, storage, options).tensor;
}

function make<Shape extends readonly number[], Storage extends DeviceStorage>(
  device: CudaDevice,
  shape: Shape,
  storage: Storage,
  { strides, label = "tensor" }: TensorOptions,
): { tensor: OwnedCudaTensor<Storage, Shape>; bytes: number } {
  checkCudaDevice(device);
  const layout = newLayout(shape, storage, strides);
  const bytes = Math.max(spanBytes(layout), 1);
  const { address } = device.allocate(bytes, label);
  const free = (): void => device.freeIfOpen(address);
  return { tensor: new OwnedCudaTensor<Storage, Shape>({ address, ...layout }, free), bytes };
}

/**
 * Copies a host tensor to the device, rounding to nearest even where the storage type is narrower.
 *
 * @param source `data` as Float32Array, Float64Array or Float16Array; as Int32Array for storage `i32`; as Uint16Array for the bits of
 *   `f16` or `bf16` elements.
 * @param strides Elements between neighbours along each axis of the result; gaps are zero.
 * @throws CudaError MTA805, MTA806, MTA828 (data does not match its shape or storage), MTA832, MTA842; MtacError MTA616, MTA617.
 */
export function upload<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: CudaDevice,
  source: UploadSource<Shape>,
  storage: Storage,
  strides?: readonly number[],
): OwnedCudaTensor<Storage, Shape> {
  const fault = hostDataFault(source, storage, strides);
  if (fault !== null) throw new CudaError("MTA828", fault);
  const { shape, data } = source;
  const { tensor } = make(device, shape, storage, strides === undefined ? {} : { strides });
  const bytes = new Uint8Array(encodeElements(tensor, data), 0, spanBytes(tensor));
  return filled(device, tensor, () => {
    if (bytes.length > 0) device.backend.write(tensor.address, bytes);
  });
}

/** A tensor that cannot be filled is not kept. */
function filled<Tensor extends CudaTensor>(device: CudaDevice, tensor: Tensor, fill: () => void): Tensor {
  try {
    fill();
    return tensor;
  } catch (error) {
    device.freeIfOpen(tensor.address);
    throw error;
  }
}

/**
 * Copies a tensor back, in row-major order of its shape, whatever its strides; waits for all work queued before.
 *
 * @returns Float32Array, or Int32Array for storage `i32`.
 * @throws CudaError MTA805, MTA806, MTA833, MTA834, MTA842 (no device); MtacError MTA614 (no tensor), MTA616, MTA617.
 */
export async function download(device: CudaDevice, tensor: CudaTensor): Promise<Float32Array | Int32Array> {
  checkCudaDevice(device);
  checkTensorKind("tensor to download", tensor, CUDA_TENSORS);
  checkLayout(tensor.shape, tensor.storage, tensor.strides);
  const length = spanBytes(tensor);
  if (length === 0) return decodeElements(tensor, new ArrayBuffer(0), 0);
  const bytes = await device.backend.read(elementAddress(tensor), length);
  return decodeElements(tensor, bytes.buffer, 0);
}

/**
 * Frees the memory of a tensor that `upload`, `allocate` or `forward` made; the calls that use it must have ended.
 *
 * @throws CudaError MTA825: the device made no such tensor, or it was freed before.
 */
export function release(device: CudaDevice, tensor: CudaTensor): void {
  if (tensor instanceof OwnedCudaTensor && tensor.disown())
    throw new CudaError("MTA825", `the tensor at ${hex(tensor.address)} was freed before`);
  device.free(tensor.address);
}
