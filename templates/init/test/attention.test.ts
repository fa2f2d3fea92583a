import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { openDevice } from "mtac/runtime/auto";
import { expect, test } from "vitest";
import { compareWithReference } from "../src/compare.ts";

/** A page fetches the modules for the processor from where it is served; Node reads them from the package. */
function moduleOf(name: string): string {
  const manifest = createRequire(import.meta.url).resolve("mtac/package.json");
  const file = join(dirname(manifest), "templates/c", `${name}.wasm`);
  return `data:application/wasm;base64,${readFileSync(file, "base64")}`;
}

// Vitest builds with Vite, so that specs can be imported here as in the page. Node has no GPU of a page: the processor computes.
test("the attention agrees with the float64 reference", async () => {
  const modules = { relaxed: moduleOf("relaxed"), plain: moduleOf("plain") };
  const device = await openDevice({ kind: "wasm", wasm: { modules } });
  // Shorter than a tile, and no multiple of one.
  for (const length of [5, 77]) {
    const { error, tolerance } = await compareWithReference(device, length);
    expect(error).toBeLessThanOrEqual(tolerance);
  }
  await device.close();
}, 60_000);
