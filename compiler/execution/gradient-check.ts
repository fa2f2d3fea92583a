import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import type { TensorError } from "./comparison.ts";
import type { AttentionCall } from "./request.ts";

/** Half the distance of the two points of a central difference. */
const STEP = 1e-5;
/** Finite differences of float64 results are no better than this; kinks (sparsemax) are met, if at all, by few rows. */
const BOUND = 1e-5;

/**
 * Compares the reference's gradients with finite differences: the derivative of Σ o·dO along a fixed pseudo-random
 * direction of each tensor. There is nothing better to compare the reference with.
 */
export function checkGradients(
  pipeline: Pipeline,
  call: AttentionCall,
  tensors: ReadonlyMap<string, Float64Tensor>,
): readonly TensorError[] {
  return [...tensors].flatMap(([name, gradient]) => {
    if (!name.startsWith("d_")) return [];
    const direction = Float64Array.from(gradient.data, (_, index) => Math.cos(1.7 * index + 0.3));
    const along = (step: number): number => loss(pipeline, moved(call, name.slice(2), direction, step));
    const expected = (along(STEP) - along(-STEP)) / (2 * STEP);
    const actual = gradient.data.reduce((sum, value, index) => sum + value * (direction[index] ?? 0), 0);
    // Against the gradient's size: the derivative along one direction may happen to be near 0.
    const size = Math.hypot(...norms(gradient.data, direction));
    const error = actual === expected ? 0 : Math.abs(actual - expected) / size;
    return [{ tensor: name, error, bound: BOUND, ok: error <= BOUND }];
  });
}

function norms(gradient: Float64Array, direction: Float64Array): readonly number[] {
  return [Math.sqrt(gradient.reduce((sum, value, index) => sum + (value * (direction[index] ?? 0)) ** 2, 0))];
}

function loss(pipeline: Pipeline, { inputs, parameters, dO }: AttentionCall): number {
  const { o } = referenceForward(pipeline, parameters, inputs);
  return o.data.reduce((sum, value, index) => sum + value * (dO?.data[index] ?? 0), 0);
}

function moved(call: AttentionCall, name: string, direction: Float64Array, step: number): AttentionCall {
  const shift = ({ shape, data }: Float64Tensor): Float64Tensor => ({
    shape,
    data: data.map((value, index) => value + step * (direction[index] ?? 0)),
  });
  const { inputs, parameters } = call;
  const parameter = parameters.get(name);
  if (parameter !== undefined)
    return { ...call, parameters: new Map([...parameters, [name, shift(parameter)]]) };
  return { ...call, inputs: shiftInput(inputs, name, shift) };
}

function shiftInput(
  inputs: AttentionInputs<Float64Tensor>,
  name: string,
  shift: (tensor: Float64Tensor) => Float64Tensor,
): AttentionInputs<Float64Tensor> {
  switch (name) {
    case "q":
      return { ...inputs, q: shift(inputs.q) };
    case "k":
      return { ...inputs, k: shift(inputs.k) };
    case "v":
      return { ...inputs, v: shift(inputs.v) };
    case "q_history":
      return inputs.qHistory === undefined ? inputs : { ...inputs, qHistory: shift(inputs.qHistory) };
    case "bias":
      return inputs.bias === undefined ? inputs : { ...inputs, bias: shift(inputs.bias) };
    default:
      throw new RangeError(`${name} is no input with a gradient`);
  }
}
