import type { MeteredTarget } from "../targets.ts";
import type { Meter } from "./meter.ts";

/** A target's device, ready to time plans. Each target's code is loaded when it is asked for. @throws GpuError, CudaError */
export async function openMeter(target: MeteredTarget, architecture?: string): Promise<Meter> {
  switch (target) {
    case "webgpu": {
      const { openWebGpuMeter } = await import("./webgpu-meter.ts");
      return openWebGpuMeter();
    }
    case "cuda":
    case "cuda-emulated": {
      const { openCudaMeter } = await import("./cuda-meter.ts");
      return openCudaMeter({ target, architecture });
    }
  }
}
