import {
  type AttentionInputs,
  type DeviceStorage,
  type Float64Tensor,
  type HostTensor,
  mapInputs,
  type Pipeline,
} from "../../runtime/contract/index.ts";

/** Puts a call's tensors on a device: `put` gets each with the type that it is stored as there. */
export function placeInputs<T>(
  { storage }: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  put: (tensor: HostTensor, as: DeviceStorage) => T,
): AttentionInputs<T> {
  return mapInputs(inputs, ({ shape, data }, { element }) =>
    element === "i32"
      ? put({ shape, data: Int32Array.from(data) }, element)
      : put({ shape, data }, element === "storage" ? storage : element),
  );
}

/** Parameters as launchers take them. */
export function hostParameters(parameters: ReadonlyMap<string, Float64Tensor>): Map<string, HostTensor> {
  return new Map(
    [...parameters].map(([name, tensor]) => [
      name,
      { shape: tensor.shape, data: Float32Array.from(tensor.data) },
    ]),
  );
}
