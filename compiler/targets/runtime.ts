import type { Layout } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { DeviceMeter } from "../execution/device-meter.ts";
import { executeOn } from "../execution/execute.ts";
import type { Meter } from "../execution/meter.ts";
import type { RunRequest, RunResult } from "../execution/request.ts";

/** How attentions are computed on a target. */
export interface TargetExecutor {
  /** @throws the target's errors */
  execute(request: RunRequest): Promise<RunResult>;
}

/** How a target whose kernels are compiled runs and times them. */
export interface TargetRuntime extends TargetExecutor {
  /** The target's device, ready to time plans. @throws the target's errors */
  openMeter(architecture?: string): Promise<Meter>;
}

/** The runtime of a target by its device. */
export function runtimeOf<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  open: (options: OpenOptions) => Promise<TargetDevice<Tensor, Types>>,
): TargetRuntime {
  return {
    async execute(request) {
      request.onStep?.("opening the device");
      const device = await open({ purpose: "run", architecture: request.architecture });
      try {
        return await executeOn(device, request);
      } finally {
        await device.close();
      }
    },
    async openMeter(architecture) {
      const openOne = (): Promise<TargetDevice<Tensor, Types>> => open({ purpose: "meter", architecture });
      return new DeviceMeter(await openOne(), openOne);
    },
  };
}
