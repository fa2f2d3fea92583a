import { MtacError } from "../../runtime/contract/index.ts";
import type { Meter } from "../execution/meter.ts";
import type { RunRequest, RunResult } from "../execution/request.ts";
import { COMPUTING_TARGETS, type MeteredTarget, type TargetName } from "../targets.ts";
import type { ListedDevice, MeterOptions, TargetExecutor, TargetRuntime } from "./runtime.ts";

/** What computes on each target; its code is loaded when it is asked for. */
const RUNTIMES = {
  reference: async () => (await import("./reference.ts")).reference,
  webgpu: async () => (await import("./webgpu.ts")).webgpu,
  cuda: async () => (await import("./cuda.ts")).cuda,
  cpu: async () => (await import("./cpu.ts")).cpu,
  "cuda-emulated": async () => (await import("./cuda.ts")).cudaEmulated,
} as const satisfies Record<TargetName, () => Promise<TargetExecutor>> &
  Record<MeteredTarget, () => Promise<TargetRuntime>>;

/** What computes where nobody says. */
export async function computingTarget(): Promise<MeteredTarget> {
  const { hasNodeGpu } = await import("../../runtime/node.ts");
  return (await hasNodeGpu()) ? COMPUTING_TARGETS.gpu : COMPUTING_TARGETS.other;
}

/** Computes an attention on a target. @throws the target's errors */
export async function execute(request: RunRequest): Promise<RunResult> {
  return (await RUNTIMES[request.target]()).execute(request);
}

/** A target's devices; an error for each that cannot be opened. */
export async function listDevices(target: TargetName): Promise<readonly (ListedDevice | MtacError)[]> {
  try {
    return await (await RUNTIMES[target]()).devices();
  } catch (error) {
    if (error instanceof MtacError) return [error];
    throw error;
  }
}

/** A target's device, ready to time plans. @throws the target's errors */
export async function openMeter(target: MeteredTarget, options: MeterOptions = {}): Promise<Meter> {
  return (await RUNTIMES[target]()).openMeter(options);
}
