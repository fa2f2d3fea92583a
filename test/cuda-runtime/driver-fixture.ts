import { afterEach, beforeEach, expect } from "vitest";
import type { Artifact, KernelImage, KernelPlan, Plan } from "../../runtime/contract/index.ts";
import { type CudaDevice, openCuda } from "../../runtime/cuda/index.ts";
import { driverDouble } from "./doubles.ts";
import { SCALE_IMAGE } from "./fixture.ts";
import { scaleArtifact } from "./tiny-cuda.ts";

export const double = driverDouble();
export const OUT_OF_MEMORY = 2;
export const ILLEGAL_ADDRESS = 700;

/** The device of the test that runs. */
export let device: CudaDevice;

export function open(): Promise<CudaDevice> {
  return openCuda({ driver: double.path, compiler: "images" });
}

/** Another device, on a driver that has forgotten everything. */
export async function reopen(): Promise<void> {
  await device.close();
  double.reset();
  device = await open();
}

export function artifact(
  changes: Partial<Plan> = {},
  kernelChanges: Partial<KernelPlan> = {},
  images: readonly KernelImage[] = [SCALE_IMAGE],
): Artifact {
  return { ...scaleArtifact(changes, kernelChanges), images };
}

beforeEach(async () => {
  double.reset();
  device = await open();
});

/** Everything that a test does leaves the driver clean: no misuse, nothing left behind. */
afterEach(async () => {
  await device.close();
  expect(double.violations()).toEqual([]);
  expect(double.leaks()).toBe(0);
});
