import { afterAll, describe, expect, test } from "vitest";
import type { AttentionInputs, CallShape } from "../../runtime/contract/index.ts";
import {
  allocate,
  type CudaDevice,
  type CudaTensor,
  createCudaLauncher,
  download,
  openEmulatedCuda,
  release,
  upload,
} from "../../runtime/cuda/index.ts";
import { ramp } from "../webgpu-runtime/tiny-plans.ts";
import { scaleArtifact } from "./tiny-cuda.ts";

const WEIGHT = new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]);
const device = await openEmulatedCuda();
afterAll(() => device.close());

function tinyInputs(
  on: CudaDevice,
  { B, Lq, Lk }: Pick<CallShape, "B" | "Lq" | "Lk">,
): AttentionInputs<CudaTensor> {
  const q = upload(on, { shape: [B, 2, Lq, 4], data: ramp(B * 2 * Lq * 4) }, "f32");
  const k = upload(on, { shape: [B, 1, Lk, 4], data: ramp(B * Lk * 4) }, "f32");
  return { q, k, v: k };
}

function scaled(length: number, factor = 1): Float32Array {
  return ramp(length).map((value, index) => value * factor * ((index % 4) + 1));
}

describe("the launcher on the emulated device", () => {
  test("runs a plan with loops and reports what it counted", async () => {
    const launcher = await createCudaLauncher(device, scaleArtifact(), WEIGHT);
    const { o, lse, statistics } = await launcher.forward(tinyInputs(device, { B: 2, Lq: 5, Lk: 6 }));
    expect(await download(device, o)).toEqual(scaled(80));
    expect(lse === null ? null : await download(device, lse)).toEqual(
      Float32Array.from({ length: 20 }, (_, index) => index % 5),
    );
    expect(statistics).toMatchObject({ schedule: "single_pass", kernels: 6, deviceMs: null });
    expect(statistics.kernelCounters.map(({ kernel }) => kernel)).toEqual(["scale"]);
    expect(statistics.counters).toEqual(statistics.kernelCounters[0]?.counters);
    expect(statistics.counters?.blocks).toBe(12);
    launcher.destroy();
  });
});
