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
import { formatBytes } from "../contract/messages.ts";
import { OwnedLayout, type TensorOptions, type TypedTensor } from "../contract/typed-tensor.ts";
import { BUFFER_USAGE, MAP_MODE_READ, roundUp } from "./constants.ts";
import { checkDevice, hasMethod, waitFor } from "./device-state.ts";
import { inErrorScopes } from "./error-scopes.ts";
import { GpuError } from "./errors.ts";
import { checkPlacement } from "./placement.ts";

/**
 * A tensor in a GPU buffer, the caller's own or made by `upload` or `allocate`. Its type may say its storage and shape:
 * `DeviceTensor<"f16", readonly [number, 16, number, 64]>`.
 */
export interface DeviceTensor<
  Storage extends DeviceStorage = DeviceStorage,
  Shape extends readonly number[] = readonly number[],
> extends TypedTensor<Storage, Shape> {
  readonly buffer: GPUBuffer;
  /** Bytes from the start of the buffer to element 0; kernels need a multiple of `minStorageBufferOffsetAlignment`. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** Elements between neighbours along each axis; the last one is 1. */
  readonly strides: readonly number[];
  /** f16 and bf16 take two bytes an element, the even element in the low half of a 32-bit word. */
  readonly storage: DeviceStorage;
}

/** A tensor whose buffer mtac made, and which is the caller's: `destroy()` it, or declare it with `using`. */
export class OwnedTensor<
    Storage extends DeviceStorage = DeviceStorage,
    Shape extends readonly number[] = readonly number[],
  >
  extends OwnedLayout<Storage, Shape>
  implements DeviceTensor<Storage, Shape>
{
  readonly buffer: GPUBuffer;

  constructor(tensor: DeviceTensor<Storage, Shape>) {
    super(tensor, () => tensor.buffer.destroy());
    this.buffer = tensor.buffer;
  }
}

/** The caller's own tensors get the methods, too, where they come back as results. */
export function owned(tensor: DeviceTensor): OwnedTensor {
  return tensor instanceof OwnedTensor ? tensor : new OwnedTensor(tensor);
}

export const GPU_TENSORS: TensorKind = {
  name: "a tensor on the device",
  remedy:
    "pass what upload(device, …) or allocate(device, …) gives, or { buffer, offset, shape, strides, storage }",
  accepts: (tensor) => hasLayout(tensor) && "buffer" in tensor && hasMethod(tensor.buffer, "destroy"),
};

const TENSOR_USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;

/** Tensors made so far, which gives each a label of its own. */
let allocated = 0;

/**
 * Makes a tensor whose contents are zero. Memory that runs out shows in the calls that use the tensor (MTA732). The buffer has usage STORAGE | COPY_SRC | COPY_DST and is the caller's to destroy.
 *
 * @throws GpuError MTA705 (device lost), MTA731 (larger than the device allows), MTA742 (no device); MtacError MTA616 (shape or
 *   strides), MTA617 (storage).
 */
export function allocate<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: GPUDevice,
  shape: Shape,
  storage: Storage,
  options: TensorOptions = {},
): OwnedTensor<Storage, Shape> {
  checkDevice(device);
  const layout = newLayout(shape, storage, options.strides);
  // Kernels view half-precision data as 32-bit words, and copies count in words too.
  const size = Math.max(roundUp(spanBytes(layout), 4), 16);
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  if (size > limit) {
    throw new GpuError(
      "MTA731",
      `a tensor of shape [${shape.join(", ")}] needs ${formatBytes(size)}, ${formatBytes(size - limit)} more than the ` +
        `device allows in one buffer (${formatBytes(limit)})`,
      {
        remedy:
          "split the batch, or request the device with requestDevice(), which asks for the adapter's full limits",
      },
    );
  }
  allocated += 1;
  // Drivers name buffers by their labels, which is all that they tell of a buffer that they refuse.
  const label = options.label ?? `mtac tensor ${allocated} [${shape.join(", ")}]`;
  const buffer = device.createBuffer({ size, usage: TENSOR_USAGE, label });
  return new OwnedTensor<Storage, Shape>({ buffer, offset: 0, ...layout });
}

/**
 * Copies a host tensor to the device, rounding to nearest even where the storage type is narrower.
 *
 * @param source `data` as Float32Array, Float64Array or Float16Array; as Int32Array for storage `i32`; as Uint16Array for the bits of
 *   `f16` or `bf16` elements.
 * @param strides Elements between neighbours along each axis of the result; gaps are zero.
 * @throws GpuError MTA705, MTA728 (data does not match its shape or storage), MTA731, MTA742; MtacError MTA616, MTA617.
 */
export function upload<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: GPUDevice,
  source: UploadSource<Shape>,
  storage: Storage,
  strides?: readonly number[],
): OwnedTensor<Storage, Shape> {
  checkDevice(device);
  const fault = hostDataFault(source, storage, strides);
  if (fault !== null) {
    throw new GpuError("MTA728", fault, {
      remedy: "give one value for each element; Int32Array goes with i32, floats with the other types",
    });
  }
  const { shape, data } = source;
  const tensor = allocate(device, shape, storage, strides === undefined ? {} : { strides });
  device.queue.writeBuffer(tensor.buffer, 0, encodeElements(tensor, data));
  return tensor;
}

/**
 * Copies a tensor back, in row-major order of its shape, whatever its strides; waits for all work queued before.
 * The tensor's buffer needs the usage COPY_SRC.
 *
 * @returns Float32Array, or Int32Array for storage `i32`.
 * @throws GpuError MTA705 (device lost), MTA723 … MTA725 (its place, its buffer), MTA732 (out of memory), MTA733, MTA742 (no device);
 *   MtacError MTA614 (no tensor), MTA616, MTA617.
 */
export async function download(device: GPUDevice, tensor: DeviceTensor): Promise<Float32Array | Int32Array> {
  checkDevice(device);
  checkTensorKind("tensor to download", tensor, GPU_TENSORS);
  checkLayout(tensor.shape, tensor.storage, tensor.strides);
  const width = bytesPerElement(tensor.storage);
  checkPlacement("to download", tensor, { usage: "COPY_SRC", alignment: width });
  // Copies start and end at whole words; a half-precision tensor may start in the middle of one.
  const begin = Math.floor(tensor.offset / 4) * 4;
  const end = roundUp(tensor.offset + spanBytes(tensor), 4);
  if (end <= begin) return decodeElements(tensor, new ArrayBuffer(0), 0);
  const context = { subject: "download", tensors: [{ name: "to download", buffer: tensor.buffer }] };
  const { result: staging, checked } = inErrorScopes(device, context, () => {
    const buffer = device.createBuffer({
      size: end - begin,
      usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST,
    });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(tensor.buffer, begin, buffer, 0, end - begin);
    device.queue.submit([encoder.finish()]);
    return buffer;
  });
  try {
    await checked;
    await waitFor(device, staging.mapAsync(MAP_MODE_READ));
    return decodeElements(tensor, staging.getMappedRange(), (tensor.offset - begin) / width);
  } finally {
    staging.destroy();
  }
}
