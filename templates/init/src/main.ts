import { openBrowserGpu } from "mtac/runtime";
import { compareWithReference } from "./compare.ts";

const results = document.querySelector("#results");

function show(rows: Readonly<Record<string, string>>): void {
  results?.replaceChildren(
    ...Object.entries(rows).flatMap(([term, text]) => {
      const name = document.createElement("dt");
      const value = document.createElement("dd");
      name.textContent = term;
      value.textContent = text;
      return [name, value];
    }),
  );
}

async function run(): Promise<void> {
  const { device, description } = await openBrowserGpu();
  try {
    const { error, tolerance, milliseconds, schedule } = await compareWithReference(device, 128);
    show({
      device: description,
      schedule,
      time: `${milliseconds.toFixed(1)} ms for 128 rows`,
      error: `${error.toExponential(1)} of at most ${tolerance}, relative to float64`,
    });
  } finally {
    device.destroy();
  }
}

/** Says what went wrong in the page: a browser without WebGPU, a kernel that does not compile. */
function runAndShow(): Promise<void> {
  return run().catch((error: unknown) => {
    show({ failed: error instanceof Error ? error.message : String(error) });
  });
}

await runAndShow();
// Vite's plugin swaps kernels when the spec changes.
globalThis.addEventListener("mtac:swap", () => void runAndShow());
