import type { ParameterValues } from "../contract/parameters.ts";
import type { Artifact } from "../contract/plan.ts";
import type { CallOutputs, CallResult } from "../launcher/backend.ts";
import type { BackwardOptions, Gradients } from "../launcher/gradients.ts";
import { AttentionLauncher, type CommonOptions, readied } from "../launcher/launcher.ts";
import { type CpuDevice, checkCpuDevice } from "./device.ts";
import { CpuLauncherBackend } from "./launcher-backend.ts";
import type { Cpu } from "./target.ts";
import type { CpuTensor } from "./tensors.ts";

/** How a launcher chooses plans and measures. */
export interface CpuLauncherOptions extends CommonOptions {}

/** Where a call's results go. */
export interface CpuOutputs extends CallOutputs<CpuTensor> {}

/** What a call gives; tensors stay in the library's memory. */
export interface CpuForwardResult extends CallResult<CpuTensor, Cpu> {}

/** Which gradients a backward pass computes, and where they go. */
export interface CpuBackwardOptions extends BackwardOptions<CpuTensor> {}

/** What a backward pass gives; tensors stay in the library's memory. */
export interface CpuGradients extends Gradients<CpuTensor, Cpu> {}

/**
 * Makes a launcher: picks the first plan of the artifact that the processor can run.
 *
 * @param device From `openCpu` or `openWasm`.
 * @param parameters The attention's parameters, all of them.
 * @throws CpuError MTA887, MTA888, MTA889, MTA890, MTA898, MTA899; MtacError MTA611 … MTA613, MTA618.
 */
export async function createCpuLauncher(
  device: CpuDevice,
  artifact: Artifact,
  parameters: ParameterValues,
  options: CpuLauncherOptions = {},
): Promise<CpuLauncher> {
  checkCpuDevice(device);
  return readied(new CpuLauncher(device, artifact, parameters, options));
}

/** Executes one attention on the processor. Made by `createCpuLauncher`. */
export class CpuLauncher extends AttentionLauncher<CpuTensor, Cpu> {
  readonly #options: CpuLauncherOptions;

  constructor(
    device: CpuDevice,
    artifact: Artifact,
    parameters: ParameterValues,
    options: CpuLauncherOptions,
  ) {
    super(device, new CpuLauncherBackend(device), artifact, parameters, options);
    this.#options = options;
  }

  /** A launcher with the same artifact, parameters and options on another device. @throws As `createCpuLauncher`. */
  rebuild(device: CpuDevice): Promise<CpuLauncher> {
    return createCpuLauncher(device, this.artifact, this.parameters, this.#options);
  }
}
