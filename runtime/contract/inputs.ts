import { INPUT_TENSORS, type InputKey, type InputResource } from "./resources.ts";
import type { AttentionInputs } from "./tensor.ts";

/**
 * The inputs of a call, made one after the other in the table's order.
 *
 * @param make Gives undefined for an input that the call leaves out.
 * @throws RangeError when it leaves out one that no call can do without.
 */
export function makeInputs<T>(
  make: (input: InputResource) => T | undefined,
  layer?: number,
): AttentionInputs<T> {
  const inputs: { -readonly [Key in InputKey]?: T } = {};
  for (const input of INPUT_TENSORS) {
    const tensor = make(input);
    if (tensor !== undefined) inputs[input.key] = tensor;
  }
  const { q, k, v, ...others } = inputs;
  if (q === undefined || k === undefined || v === undefined) throw new RangeError("a call has q, k and v");
  return { q, k, v, ...others, ...(layer === undefined ? {} : { layer }) };
}

/** The same inputs in another form. */
export function mapInputs<T, Other>(
  inputs: AttentionInputs<T>,
  convert: (tensor: T, input: InputResource) => Other,
): AttentionInputs<Other> {
  return makeInputs((input) => {
    const tensor = inputs[input.key];
    return tensor === undefined ? undefined : convert(tensor, input);
  }, inputs.layer);
}
