import { openDevice } from "mtac/runtime/auto";
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
  const device = await openDevice();
  try {
    const { error, tolerance, milliseconds, schedule } = await compareWithReference(device, 128);
    show({
      device: device.reason === null ? device.description : `${device.description} (${device.reason})`,
      schedule,
      time: `${milliseconds.toFixed(1)} ms for 128 rows`,
      error: `${error.toExponential(1)} of at most ${tolerance}, relative to float64`,
    });
  } finally {
    await device.close();
  }
}

/** Says what went wrong in the page: a kernel that does not compile, for example. */
function runAndShow(): Promise<void> {
  return run().catch((error: unknown) => {
    show({ failed: error instanceof Error ? error.message : String(error) });
  });
}

await runAndShow();
// Vite's plugin swaps kernels when the spec changes.
globalThis.addEventListener("mtac:swap", () => void runAndShow());
