import type { AttentionInputs, CallShape, KernelImage } from "../../runtime/contract/index.ts";
import { launchBytes } from "../../runtime/contract/launch.ts";
import { type CudaDevice, type CudaTensor, upload } from "../../runtime/cuda/index.ts";
import { LAUNCH, ramp } from "../webgpu-runtime/tiny-plans.ts";

export const WEIGHT = new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]);

/** Inputs for the tiny pipeline (H = 2, Hkv = 1, D = 4): q counts up from 0. */
export function tinyInputs(
  device: CudaDevice,
  { B, Lq, Lk }: Pick<CallShape, "B" | "Lq" | "Lk">,
): AttentionInputs<CudaTensor> {
  const q = upload(device, { shape: [B, 2, Lq, 4], data: ramp(B * 2 * Lq * 4) }, "f32");
  const k = upload(device, { shape: [B, 1, Lk, 4], data: ramp(B * Lk * 4) }, "f32");
  return { q, k, v: k };
}

/** What the scale kernel gives for `tinyInputs`. */
export function scaled(length: number, factor = 1): Float32Array {
  return ramp(length).map((value, index) => value * factor * ((index % 4) + 1));
}

/** A module as the driver's stand-in reads it. */
export function doubleImage(...kernels: readonly string[]): KernelImage {
  const text = ["MTAC-DOUBLE", ...kernels].join("\n");
  return {
    architecture: "sm_80",
    kind: "cubin",
    file: "tiny.cu",
    data: Buffer.from(text).toString("base64"),
  };
}

export const SCALE_IMAGE = doubleImage(
  `kernel tiny_scale static=0 threads=64 params=v${launchBytes(LAUNCH)},p,p,p,p,p`,
);
