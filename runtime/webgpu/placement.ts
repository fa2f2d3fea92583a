import { type Layout, spanBytes } from "../contract/layout.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { GpuError } from "./errors.ts";

/** A tensor's place in a buffer. */
export interface PlacedTensor extends Layout {
  readonly buffer: GPUBuffer;
  /** Bytes. */
  readonly offset: number;
}

/**
 * Checks that a tensor lies in its buffer where it may be read from.
 * @param alignment Bytes of which its offset must be a multiple.
 * @throws GpuError MTA723, MTA724, MTA725
 */
export function checkPlacement(
  name: string,
  tensor: PlacedTensor,
  { usage, alignment }: { readonly usage: "STORAGE" | "COPY_SRC"; readonly alignment: number },
): void {
  const { buffer, offset, shape, strides, storage } = tensor;
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % alignment !== 0) {
    throw new GpuError(
      "MTA723",
      `the tensor ${name} starts at byte ${offset} of its buffer; this device needs a multiple of ${alignment}`,
      {
        remedy: `place tensors at multiples of ${alignment} bytes, or copy this one to a buffer of its own`,
      },
    );
  }
  const end = offset + boundBytes(tensor);
  if (end > buffer.size) {
    throw new GpuError(
      "MTA724",
      `the tensor ${name} (${storage} [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}) reaches ` +
        `to byte ${end}, ${end - buffer.size} past the end of its buffer (${buffer.size} bytes)`,
      { remedy: "check shape and strides; a buffer's size is a multiple of 4 bytes" },
    );
  }
  if ((buffer.usage & BUFFER_USAGE[usage]) === 0) {
    throw new GpuError("MTA725", `the buffer of the tensor ${name} lacks the usage ${usage}`, {
      remedy: `create it with GPUBufferUsage.${usage}`,
    });
  }
}

/**
 * @throws GpuError MTA726 when a result shares its buffer with another tensor of the call: WebGPU allows a buffer that is written no
 *   second binding in a dispatch, even where the ranges are disjoint ("Usage scope"), and which dispatches bind both is the plan's
 *   choice; where none does, later ones would read results as inputs.
 */
export function checkSeparate(
  outputs: ReadonlyMap<string, PlacedTensor>,
  tensors: ReadonlyMap<string, PlacedTensor>,
): void {
  for (const [output, { buffer }] of outputs)
    for (const [name, tensor] of [...tensors, ...outputs])
      if (name !== output && tensor.buffer === buffer)
        throw new GpuError(
          "MTA726",
          `${output} lies in the same buffer as ${name}: kernels read inputs while they write results, and WebGPU binds a buffer ` +
            "that is written only once in a dispatch",
          { remedy: `give ${output} a buffer of its own` },
        );
}

/** Bytes of a tensor's span in whole words: what is bound, and what a kernel may touch. */
export function boundBytes(tensor: Layout): number {
  return Math.ceil(spanBytes(tensor) / 4) * 4;
}
