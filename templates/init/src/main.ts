import { requestDevice } from "mtac/runtime";
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
  const adapter = await navigator.gpu?.requestAdapter();
  if (adapter === null || adapter === undefined) {
    show({ device: "this browser has no WebGPU" });
    return;
  }
  const device = await requestDevice(adapter);
  try {
    const { error, tolerance, milliseconds, schedule } = await compareWithReference(device, 128);
    show({
      device: [adapter.info.vendor, adapter.info.architecture].filter(Boolean).join(" ") || "a GPU",
      schedule,
      time: `${milliseconds.toFixed(1)} ms for 128 rows`,
      error: `${error.toExponential(1)} of at most ${tolerance}, relative to float64`,
    });
  } catch (error) {
    show({ failed: error instanceof Error ? error.message : String(error) });
  } finally {
    device.destroy();
  }
}

await run();
// Vite's plugin swaps kernels when the spec changes.
globalThis.addEventListener("mtac:swap", () => void run());
