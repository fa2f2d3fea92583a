import { requestDevice } from "mtac/runtime";
import { openNodeGpu } from "mtac/runtime/node";
import { expect, test } from "vitest";
import { compareWithReference } from "../src/compare.ts";

// Vitest builds with Vite, so that specs can be imported here as in the page. Without a GPU, a software device computes.
test("the attention agrees with the float64 reference", async () => {
  const { adapter } = await openNodeGpu();
  const device = await requestDevice(adapter);
  // Shorter than a tile, and no multiple of one.
  for (const length of [5, 77]) {
    const { error, tolerance } = await compareWithReference(device, length);
    expect(error).toBeLessThanOrEqual(tolerance);
  }
  device.destroy();
}, 60_000);
