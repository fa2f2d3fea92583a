import { afterAll } from "vitest";
import type { AttentionInputs, CallShape, DeviceTensor } from "../../runtime/index.ts";
import { type DeviceOptions, requestDevice, upload } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { ramp } from "./tiny-plans.ts";

const opened: GPUDevice[] = [];

/** A device of this test file, destroyed at its end. */
export async function openDevice(options: DeviceOptions = {}): Promise<GPUDevice> {
  const { adapter } = await openNodeGpu();
  const device = await requestDevice(adapter, options);
  opened.push(device);
  return device;
}

afterAll(() => {
  for (const device of opened) device.destroy();
});

export const WEIGHT = new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]);

/** Inputs for the tiny pipeline (H = 2, Hkv = 1, D = 4): q counts up from 0. */
export function tinyInputs(
  device: GPUDevice,
  { B, Lq, Lk }: Pick<CallShape, "B" | "Lq" | "Lk">,
): AttentionInputs<DeviceTensor> {
  const q = upload(device, { shape: [B, 2, Lq, 4], data: ramp(B * 2 * Lq * 4) }, "f32");
  const k = upload(device, { shape: [B, 1, Lk, 4], data: ramp(B * Lk * 4) }, "f32");
  return { q, k, v: k };
}

/** What the scale kernel gives for `tinyInputs`. */
export function scaled(length: number, factor = 1): Float32Array {
  return ramp(length).map((value, index) => value * factor * ((index % 4) + 1));
}
