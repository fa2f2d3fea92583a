import type { DeviceStorage, UploadSource } from "../contract/layout.ts";
import type { TensorOptions } from "../contract/typed-tensor.ts";
import { type AutoDevice, checkAutoDevice } from "./device.ts";
import type { AutoTensor, OwnedAutoTensor } from "./types.ts";

/**
 * Makes a tensor whose contents are zero; it is the caller's to destroy.
 *
 * @throws MtacError MTA616 (shape or strides), MTA617 (storage), MTA619 (no device); else as `allocate` of the device's own runtime.
 */
export function allocate<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: AutoDevice,
  shape: Shape,
  storage: Storage,
  options: TensorOptions = {},
): OwnedAutoTensor<Storage, Shape> {
  checkAutoDevice(device);
  return device.runtime.allocate(shape, storage, options);
}

/**
 * Copies a host tensor to the device, rounding to nearest even where the storage type is narrower.
 *
 * @param source `data` as Float32Array, Float64Array or Float16Array; as Int32Array for storage `i32`; as Uint16Array for the bits of
 *   `f16` or `bf16` elements.
 * @param strides Elements between neighbours along each axis of the result; gaps are zero.
 * @throws MtacError MTA616, MTA617, MTA619; else as `upload` of the device's own runtime.
 */
export function upload<const Shape extends readonly number[], const Storage extends DeviceStorage>(
  device: AutoDevice,
  source: UploadSource<Shape>,
  storage: Storage,
  strides?: readonly number[],
): OwnedAutoTensor<Storage, Shape> {
  checkAutoDevice(device);
  return device.runtime.upload(source, storage, strides);
}

/**
 * Copies a tensor back, in row-major order of its shape, whatever its strides.
 *
 * @returns Float32Array, or Int32Array for storage `i32`.
 * @throws MtacError MTA614 (no tensor of this device), MTA616, MTA617, MTA619; else as `download` of the device's own runtime.
 */
export async function download(device: AutoDevice, tensor: AutoTensor): Promise<Float32Array | Int32Array> {
  checkAutoDevice(device);
  return device.runtime.download(tensor);
}

/** Frees the workspace that earlier calls left on the device for later ones. @throws MtacError MTA619 */
export function releaseWorkspace(device: AutoDevice): void {
  checkAutoDevice(device);
  device.runtime.releaseWorkspace();
}
