import type { CudaProperties } from "./backend.ts";

/** A device and its driver as one text: results that were measured on one device are not used on another. */
export function deviceIdentity({ name, architecture, multiprocessors, driver }: CudaProperties): string {
  return [name, architecture, `${multiprocessors} multiprocessors`, driver].join("|");
}
