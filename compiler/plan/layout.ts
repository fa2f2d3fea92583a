import { elementCount, type Pipeline, type Plan, type StorageForm } from "../../runtime/contract/index.ts";
import type { TargetLimits } from "./limits.ts";

/** Where each parameter lies in the `parameters` buffer. */
export function layoutParameters(pipeline: Pipeline): Pick<Plan, "parameters" | "parameterWords"> {
  let offset = 0;
  const parameters = pipeline.parameters.map((parameter) => {
    const length = elementCount(parameter.shape);
    const placed = { name: parameter.name, offset, length };
    offset += length;
    return placed;
  });
  return { parameters, parameterWords: offset };
}

/** Elements that one load takes from a row of `size`: strides must be multiples of it. */
export function vectorWidth(size: number): 1 | 2 | 4 {
  if (size % 4 === 0) return 4;
  return size % 2 === 0 ? 2 : 1;
}

export function alignment(pipeline: Pipeline): Plan["alignment"] {
  const qk = vectorWidth(pipeline.headDim);
  const vo = vectorWidth(pipeline.valueDim);
  return { q: qk, k: qk, v: vo, o: vo };
}

/** How WebGPU holds tensors: f16 natively where a device can, else in pairs. */
export function storageForm({ storage }: Pipeline, { features }: TargetLimits): StorageForm {
  if (storage === "f32") return "f32";
  return storage === "f16" && features.includes("shader-f16") ? "f16-native" : `${storage}-packed`;
}

/** Values of a row in blocks of four. */
export function valueBlocks(pipeline: Pipeline): number {
  return Math.ceil(pipeline.valueDim / 4);
}

export function ceilTo(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** The largest power of two that is at most `value`, and at least 1. */
export function powerOfTwo(value: number): number {
  let power = 1;
  while (power * 2 <= value) power *= 2;
  return power;
}

/** Words that the softmax of a row leaves for the kernels after it: its maximum, and the reciprocal of its sum. */
export const STATISTIC_WORDS = 2;
