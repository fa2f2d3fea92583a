import type { ParameterValues } from "../contract/parameters.ts";
import type { Artifact } from "../contract/plan.ts";
import type { CallOutputs, CallResult } from "../launcher/backend.ts";
import type { BackwardOptions, Gradients } from "../launcher/gradients.ts";
import { AttentionLauncher, type CommonOptions, readied } from "../launcher/launcher.ts";
import { type CudaDevice, checkCudaDevice } from "./device.ts";
import { CudaLauncherBackend } from "./launcher-backend.ts";
import type { Cuda } from "./target.ts";
import type { CudaTensor } from "./tensors.ts";

/** How a launcher chooses plans and measures. */
export interface CudaLauncherOptions extends CommonOptions {
  /** Wait after each launch, so that an error names the kernel that failed: for diagnosis. */
  readonly synchronous?: boolean;
}

/** Where a call's results go. */
export interface CudaOutputs extends CallOutputs<CudaTensor> {}

/** What a call gives; tensors stay on the device. */
export interface CudaForwardResult extends CallResult<CudaTensor, Cuda> {}

/** Which gradients a backward pass computes, and where they go. */
export interface CudaBackwardOptions extends BackwardOptions<CudaTensor> {}

/** What a backward pass gives; tensors stay on the device. */
export interface CudaGradients extends Gradients<CudaTensor, Cuda> {}

/**
 * Makes a launcher: picks the first plan of the artifact that the device can run and compiles its kernels, or finds them in
 * the cache.
 *
 * @param device From `openCuda` or `openEmulatedCuda`.
 * @param parameters The attention's parameters, all of them.
 * @throws CudaError MTA805, MTA806, MTA810 … MTA817, MTA831, MTA840, MTA842; MtacError MTA611 … MTA613, MTA618.
 */
export async function createCudaLauncher(
  device: CudaDevice,
  artifact: Artifact,
  parameters: ParameterValues,
  options: CudaLauncherOptions = {},
): Promise<CudaLauncher> {
  checkCudaDevice(device);
  return readied(new CudaLauncher(device, artifact, parameters, options));
}

/** Executes one attention on one device. Made by `createCudaLauncher`. */
export class CudaLauncher extends AttentionLauncher<CudaTensor, Cuda> {
  readonly #options: CudaLauncherOptions;

  constructor(
    device: CudaDevice,
    artifact: Artifact,
    parameters: ParameterValues,
    options: CudaLauncherOptions,
  ) {
    super(
      device,
      new CudaLauncherBackend(device, options.synchronous ?? false),
      artifact,
      parameters,
      options,
    );
    this.#options = options;
  }

  /**
   * A launcher with the same artifact, parameters and options on another device.
   *
   * @throws As `createCudaLauncher`.
   */
  rebuild(device: CudaDevice): Promise<CudaLauncher> {
    return createCudaLauncher(device, this.artifact, this.parameters, this.#options);
  }
}
