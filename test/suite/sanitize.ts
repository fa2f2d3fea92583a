import { CpuDevice } from "../../runtime/cpu/device.ts";
import { missingSanitizer, openSanitized, type Sanitizer } from "../sanitize/library.ts";
import { cpuSuite } from "./cpu.ts";
import type { SuiteTarget } from "./target.ts";

/** The C library under a sanitizer: slow, since every call is a process, and so with fewer cases. */
function sanitizedSuite(sanitizer: Sanitizer, lanes: number): SuiteTarget {
  return {
    ...cpuSuite(`C, ${sanitizer} sanitizer, vectors of ${lanes} floats`, async () => {
      return new CpuDevice(await openSanitized(sanitizer, lanes));
    }),
    project: "sanitize",
    available: async () => (await missingSanitizer()) === null,
    roundsAll: false,
    known: ["f32"],
    depth: 1,
    runs: 12,
  };
}

export const SANITIZED_SUITES: readonly SuiteTarget[] = [
  sanitizedSuite("address", 16),
  sanitizedSuite("address", 8),
  sanitizedSuite("address", 4),
  sanitizedSuite("thread", 8),
];
