import {
  type AttentionInputs,
  type CallShape,
  elementCount,
  type Float64Tensor,
  mapInputs,
  type Pipeline,
  type Plan,
} from "../../runtime/contract/index.ts";
import type { DeviceStorage, Layout } from "../../runtime/contract/layout.ts";
import { clobbered, drawPlacement, encodePlaced } from "./placing.ts";
import type { Random } from "./random.ts";

/** A tensor somewhere in its memory. */
export interface PlacedLayout extends Layout {
  readonly offset: number;
}

/** Memory of a device, as tests fill it and look at it. */
export interface TestMemory<T> {
  /** Memory of these bytes, and the tensor that lies in it. */
  place(bytes: ArrayBuffer, layout: PlacedLayout): T;
  /** All bytes of a tensor's memory. */
  bytes(tensor: T): Promise<ArrayBuffer>;
  /** A tensor's elements, in row-major order. */
  download(tensor: T): Promise<Int32Array | Float32Array>;
  free(tensor: T): void;
}

/** Where a call's results go. */
export interface PlacedOutputs<T> {
  readonly o: T;
  readonly lse: T;
}

/** What a call gave. */
export interface PlacedResult<Statistics> {
  readonly o: Float32Array;
  readonly lse: Float32Array | null;
  readonly statistics: Statistics;
}

/** Puts one tensor, contiguous or where `random` says, with NaN around it. */
function put<T>(
  memory: TestMemory<T>,
  tensor: Float64Tensor,
  storage: DeviceStorage,
  alignment: number,
  random: Random | null,
): T {
  const place = drawPlacement(tensor.shape, alignment, random);
  const { strides, before: offset } = place;
  return memory.place(encodePlaced(tensor, storage, place), {
    offset,
    shape: tensor.shape,
    strides,
    storage,
  });
}

/** A call's tensors on a device, and how to free them. */
export interface PlacedCall<T> {
  readonly inputs: AttentionInputs<T>;
  destroy(): void;
}

/** Inputs on a device; with `scatter` those that may lie at random strides, in random order of axes, with NaN in all gaps. */
export function placeInputs<T>(
  memory: TestMemory<T>,
  { pipeline, alignment }: Plan,
  inputs: AttentionInputs<Float64Tensor>,
  scatter: Random | null = null,
): PlacedCall<T> {
  const { q, k, v } = alignment;
  const alignments: Readonly<Record<string, number>> = { q, qHistory: q, k, v };
  const tensors: T[] = [];
  const placed = mapInputs(inputs, (tensor, { key, element, strided }) => {
    const storage = element === "storage" ? pipeline.storage : element;
    const one = put(memory, tensor, storage, alignments[key] ?? 1, strided ? scatter : null);
    tensors.push(one);
    return one;
  });
  return { inputs: placed, destroy: () => tensors.forEach((tensor) => void memory.free(tensor)) };
}

/** Outputs full of NaN: an element that a kernel leaves out shows, and so does one that it writes beside them. */
export function poisonedOutputs<T>(
  memory: TestMemory<T>,
  pipeline: Pipeline,
  { B, Lq }: Pick<CallShape, "B" | "Lq">,
  alignment: number,
  scatter: Random | null = null,
): PlacedOutputs<T> {
  const { heads, valueDim, storage } = pipeline;
  const poisoned = (shape: readonly number[]): Float64Tensor => ({
    shape,
    data: new Float64Array(elementCount(shape)).fill(Number.NaN),
  });
  return {
    o: put(memory, poisoned([B, heads, Lq, valueDim]), storage, alignment, scatter),
    lse: put(memory, poisoned([B, heads, Lq]), "f32", 1, null),
  };
}

/**
 * Runs one plan on a device with inputs in float64 and returns the results as f32.
 *
 * @param forward A call of the launcher.
 * @param scatter Where given: tensors lie at random strides, with NaN in all gaps.
 * @throws Error when the kernels write outside the output's elements.
 */
export async function runPlaced<T extends Layout & { readonly offset?: number }, Statistics>(
  memory: TestMemory<T>,
  plan: Plan,
  inputs: AttentionInputs<Float64Tensor>,
  scatter: Random | null,
  forward: (
    inputs: AttentionInputs<T>,
    outputs: PlacedOutputs<T>,
  ) => Promise<{ readonly lse: T | null; readonly statistics: Statistics }>,
): Promise<PlacedResult<Statistics>> {
  const call = placeInputs(memory, plan, inputs, scatter);
  const [B = 0, , Lq = 0] = inputs.q.shape;
  const outputs = poisonedOutputs(memory, plan.pipeline, { B, Lq }, plan.alignment.o, scatter);
  try {
    const { lse, statistics } = await forward(call.inputs, outputs);
    const o = floats(await memory.download(outputs.o));
    if (scatter !== null) {
      const beside = clobbered(await memory.bytes(outputs.o), outputs.o);
      if (beside > 0)
        throw new Error(`${beside} elements beside o were written, strides [${outputs.o.strides}]`);
    }
    return { o, lse: lse === null ? null : floats(await memory.download(lse)), statistics };
  } finally {
    call.destroy();
    memory.free(outputs.o);
    memory.free(outputs.lse);
  }
}

function floats(data: Int32Array | Float32Array): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data);
}
