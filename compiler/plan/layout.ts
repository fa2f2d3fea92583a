import {
  type Expression,
  elementCount,
  type Pipeline,
  type Plan,
  type StorageForm,
} from "../../runtime/contract/index.ts";
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

export function storageForm(pipeline: Pipeline, limits: TargetLimits): StorageForm {
  switch (pipeline.storage) {
    case "f32":
      return "f32";
    case "bf16":
      return "bf16-packed";
    case "f16":
      return limits.features.includes("shader-f16") ? "f16-native" : "f16-packed";
  }
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

/** The buffer of these, for all rows of the call and `history` rows before them. */
export function statisticsBuffer(pipeline: Pipeline, history: Expression): Plan["workspace"][number] {
  return {
    name: "statistics",
    bytes: ["mul", 4 * STATISTIC_WORDS, "B", pipeline.heads, ["add", history, "Lq"]],
  };
}
