import type { Layout, MtacError } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { DeviceMeter } from "../execution/device-meter.ts";
import { executeOn } from "../execution/execute.ts";
import type { Meter } from "../execution/meter.ts";
import type { RunRequest, RunResult } from "../execution/request.ts";

/** A device as `mtac devices` lists it. */
export interface ListedDevice {
  readonly device: string;
  /** Whether it is software: good for tests, not for speed. */
  readonly software: boolean;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
  /** What people are shown in place of limits and features, where their names would say little. */
  readonly words?: Readonly<Record<string, string>>;
}

/** How attentions are computed on a target. */
export interface TargetExecutor {
  /** @throws the target's errors */
  execute(request: RunRequest): Promise<RunResult>;
  /** The devices that there are; an error for one that cannot be opened. @throws the target's error, where there is none */
  devices(): Promise<readonly (ListedDevice | MtacError)[]>;
}

/** What a device is opened with, to time plans on it. */
export type MeterOptions = Partial<Pick<OpenOptions, "architecture" | "threads">>;

/** How a target whose kernels are compiled runs and times them. */
export interface TargetRuntime extends TargetExecutor {
  /** The target's device, ready to time plans. @throws the target's errors */
  openMeter(options?: MeterOptions): Promise<Meter>;
}

/** The runtime of a target by its devices. */
export function runtimeOf<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  open: (options: OpenOptions) => Promise<TargetDevice<Tensor, Types>>,
  devices: TargetExecutor["devices"],
): TargetRuntime {
  return {
    devices,
    async execute(request) {
      request.onStep?.("opening the device");
      const device = await open({ purpose: "run", architecture: request.architecture });
      try {
        return await executeOn(device, request);
      } finally {
        await device.close();
      }
    },
    async openMeter({ architecture, threads } = {}) {
      const openOne = (): Promise<TargetDevice<Tensor, Types>> =>
        open({ purpose: "meter", architecture, threads });
      return new DeviceMeter(await openOne(), openOne);
    },
  };
}
