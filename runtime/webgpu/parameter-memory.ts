import type { ParameterMemory } from "../contract/parameters.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { GpuError } from "./errors.ts";

export const PARAMETER_USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;

/** Parameters in a GPU buffer; MTA740 for a wrong number of values. */
export function parameterMemory(device: GPUDevice): ParameterMemory<GPUBuffer> {
  return {
    write: (words) => {
      const descriptor = { label: "mtac parameters", size: words.byteLength, usage: PARAMETER_USAGE };
      const buffer = device.createBuffer(descriptor);
      device.queue.writeBuffer(buffer, 0, words);
      return buffer;
    },
    free: (buffer) => buffer.destroy(),
    wrongCount: (message, remedy) => new GpuError("MTA740", message, { remedy }),
  };
}
