import type { ParameterMemory } from "../contract/parameters.ts";
import type { CudaAllocation } from "./backend.ts";
import type { CudaDevice } from "./device.ts";
import { CudaError } from "./errors.ts";

/** Parameters in device memory; MTA840 for a wrong number of values. */
export function parameterMemory(device: CudaDevice): ParameterMemory<CudaAllocation> {
  return {
    write: (words) => {
      const allocation = device.allocate(words.byteLength, "mtac parameters");
      try {
        device.backend.write(allocation.address, new Uint8Array(words.buffer));
      } catch (error) {
        device.freeIfOpen(allocation.address);
        throw error;
      }
      return allocation;
    },
    free: ({ address }) => device.freeIfOpen(address),
    wrongCount: (message, remedy) => new CudaError("MTA840", message, { remedy }),
  };
}
