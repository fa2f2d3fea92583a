import type { CallSize } from "./expand.ts";
import type { DeviceStorage } from "./layout.ts";
import type { Plan } from "./plan.ts";
import { GRADIENT_TENSORS, OUTPUT_TENSORS, shapeOf, tensorExists, VALUES } from "./resources.ts";
import { elementCount, type HostTensor } from "./tensor.ts";

/** The gradients of all parameters, one after the other in the plan's order. */
export const D_PARAMETERS = { name: "d_parameters", key: "dParameters" } as const;

/** A tensor that a call gives: all that is known of it before it is computed. */
export interface ResultTensor {
  /** In plans and messages. */
  readonly name: string;
  /** What callers know it by. */
  readonly key: string;
  readonly shape: readonly number[];
  readonly storage: DeviceStorage;
  /** Whether the caller's own tensor for it may have strides. */
  readonly strided: boolean;
}

/** What a plan can give of a call: o and lse, and what is kept for gradients; or gradients. @param hasHistory Whether the call gives `q_history`. */
export function resultsOf(
  { pipeline, direction, parameterWords }: Pick<Plan, "pipeline" | "direction" | "parameterWords">,
  size: CallSize,
  hasHistory: boolean,
): readonly ResultTensor[] {
  const { dBias, valuesKept = false } = size;
  const forward = valuesKept ? [...OUTPUT_TENSORS, VALUES] : OUTPUT_TENSORS;
  const tensors = direction === "backward" ? GRADIENT_TENSORS : forward;
  const results = tensors.flatMap((tensor): readonly ResultTensor[] => {
    const { name, key, axes, element, strided } = tensor;
    const ofBias = name === "d_bias";
    if (!tensorExists(pipeline, tensor) || (name === "d_q_history" && !hasHistory) || (ofBias && !dBias))
      return [];
    const storage = element === "storage" ? pipeline.storage : element;
    return [{ name, key, shape: (ofBias && dBias) || shapeOf(pipeline, axes, size), storage, strided }];
  });
  if (direction !== "backward" || parameterWords === 0) return results;
  return [...results, { ...D_PARAMETERS, shape: [parameterWords], storage: "f32", strided: false }];
}

/** The gradients of the parameters by name, each in its parameter's shape. */
export function splitParameters(
  { pipeline, parameters }: Pick<Plan, "pipeline" | "parameters">,
  words: Float32Array | Int32Array,
): ReadonlyMap<string, HostTensor> {
  const offsets = new Map(parameters.map(({ name, offset }) => [name, offset]));
  return new Map(
    pipeline.parameters.map(({ name, shape }) => {
      const offset = offsets.get(name) ?? 0;
      return [name, { shape, data: Float32Array.from(words.subarray(offset, offset + elementCount(shape))) }];
    }),
  );
}
