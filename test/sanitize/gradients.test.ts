import { afterAll } from "vitest";
import { CpuDevice } from "../../runtime/cpu/device.ts";
import { describeGradients } from "../cpu/gradient-suite.ts";
import { missingSanitizer, openSanitized } from "./library.ts";

// Each call is a process: a vector of each kind of stage and mask, and few random attentions.
const VECTORS = /^(01|11|16|23|26|33|43)_/;

if ((await missingSanitizer()) === null)
  for (const [sanitizer, lanes] of [
    ["address", 16],
    ["address", 4],
    ["thread", 8],
  ] as const) {
    const device = new CpuDevice(await openSanitized(sanitizer, lanes));
    afterAll(() => device.close());
    describeGradients(`${sanitizer} sanitizer, vectors of ${lanes} floats`, device, {
      runs: 8,
      vectors: (name) => VECTORS.test(name),
    });
  }
