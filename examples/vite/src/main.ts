import { type AutoOptions, openDevice } from "mtac/runtime/auto";
import { attend, LENGTH, makeLauncher } from "./attend.ts";

/** What f32 arithmetic may differ by. */
const TOLERANCE = 5e-6;

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

/** `?device=webgpu` and `?device=wasm` ask for one; else the page takes the GPU if there is one. */
function wanted(): AutoOptions {
  const kind = new URLSearchParams(location.search).get("device");
  return kind === "webgpu" || kind === "wasm" ? { kind } : {};
}

async function start(): Promise<void> {
  const device = await openDevice(wanted());
  const attention = await makeLauncher(device);
  const run = async (): Promise<void> => {
    try {
      const { values, error, schedule, milliseconds } = await attend(device, attention);
      show({
        device: `${device.kind}: ${device.description}`,
        ...(device.reason === null ? {} : { "not WebGPU": device.reason }),
        kernels: schedule,
        time: `${milliseconds.toFixed(1)} ms for ${LENGTH} rows and keys`,
        error: `${error.toExponential(1)}, ${error < TOLERANCE ? "passed" : "FAILED"} (at most ${TOLERANCE})`,
        "last row": values.map((value) => value.toFixed(6)).join("  "),
      });
    } catch (error) {
      show({ failed: error instanceof Error ? error.message : String(error) });
    }
  };
  // While Vite serves the page, a changed spec gives the launcher new kernels.
  globalThis.addEventListener("mtac:swap", () => void run());
  await run();
}

start().catch((error: unknown) => show({ failed: error instanceof Error ? error.message : String(error) }));
