import type {
  AttentionInputs,
  DeviceStorage,
  Float64Tensor,
  HostTensor,
  Pipeline,
} from "../../runtime/contract/index.ts";

/** Puts a call's tensors on a device: `put` gets each with the type that it is stored as there. */
export function placeInputs<T>(
  { storage }: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  put: (tensor: HostTensor, as: DeviceStorage) => T,
): AttentionInputs<T> {
  const integers = (tensor: Float64Tensor): T => put(toIntegers(tensor), "i32");
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  return {
    q: put(q, storage),
    k: put(k, storage),
    v: put(v, storage),
    ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage) }),
    ...(documents === undefined ? {} : { documents: integers(documents) }),
    ...(lengths === undefined ? {} : { lengths: integers(lengths) }),
    ...(positions === undefined ? {} : { positions: integers(positions) }),
    ...(bias === undefined ? {} : { bias: put(bias, "f32") }),
    ...(layer === undefined ? {} : { layer }),
  };
}

/** Parameters as launchers take them. */
export function hostParameters(parameters: ReadonlyMap<string, Float64Tensor>): Map<string, HostTensor> {
  return new Map([...parameters].map(([name, tensor]) => [name, toHost(tensor)]));
}

function toHost({ shape, data }: Float64Tensor): HostTensor {
  return { shape, data: Float32Array.from(data) };
}

function toIntegers({ shape, data }: Float64Tensor): HostTensor {
  return { shape, data: Int32Array.from(data) };
}
