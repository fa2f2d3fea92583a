// attention toy, from toy.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import {
  type CpuDevice,
  type CpuForwardResult,
  type CpuLauncher as Launcher,
  type CpuLauncherOptions,
  type CpuOutputs,
  type CpuTensor,
  type OwnedCpuTensor,
  type PrepareSize,
  type Timing,
  createCpuLauncher as launch,
  initParameters as initialValues,
} from "mtac/runtime/cpu";
import { artifact, pipeline } from "./toy.cpu.kernels.js";

/** A parameter on the host; `data` holds one value for each element of `shape`. */
export interface ParameterTensor<Shape extends readonly number[]> {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Parameters of `toy`: f32, row-major, named as a PyTorch module would name them. */
export interface ToyParameters {
  /** [2, 1, 2, 9] = [head, head read, query row, key]; initially the identity. */
  readonly "scores.conv.weight": ParameterTensor<readonly [2, 1, 2, 9]>;
}

/**
 * Inputs of one call: B batch entries, Lq query rows, Lk keys. Tensors live on the launcher's device;
 * `upload` of `mtac/runtime/cpu` puts them there.
 */
export interface ToyInputs {
  /** f32 [B, 2, Lq, 128] */
  readonly q: CpuTensor<"f32", readonly [number, 2, number, 128]>;
  /** f32 [B, 2, Lk, 128] */
  readonly k: CpuTensor<"f32", readonly [number, 2, number, 128]>;
  /** f32 [B, 2, Lk, 128] */
  readonly v: CpuTensor<"f32", readonly [number, 2, number, 128]>;
  /** f32 [B, 2, R, 128]: the query rows just before row 0. */
  readonly qHistory?: CpuTensor<"f32", readonly [number, 2, number, 128]>;
  /** i32 [B]: absolute position of row 0. Lk − Lq if not given. */
  readonly positions?: CpuTensor<"i32", readonly [number]>;
}

/** What a call gives. */
export interface ToyResult extends CpuForwardResult {
  readonly o: OwnedCpuTensor<"f32", readonly [number, 2, number, 128]>;
  readonly lse: OwnedCpuTensor<"f32", readonly [number, 2, number]>;
}

/** `toy` on one device, with its parameters. Made by `create`. */
export class ToyLauncher {
  /** What this one wraps: its plan, its device, its host copies of the parameters. */
  readonly launcher: Launcher;

  constructor(launcher: Launcher) {
    this.launcher = launcher;
  }

  /**
   * Computes the attention and waits for it.
   *
   * @returns `o`: f32 [B, 2, Lq, 128]; `lse`: f32 [B, 2, Lq]. They stay in the library's memory, and are the
   * caller's to destroy.
   */
  forward(inputs: ToyInputs, outputs?: CpuOutputs): Promise<ToyResult> {
    return this.launcher.forward<ToyResult>(inputs, outputs);
  }

  /** Runs a call again and again, after one run that is not counted. */
  time(inputs: ToyInputs, options: { readonly repeats?: number } = {}): Promise<Timing> {
    return this.launcher.time(inputs, options);
  }

  /** Checks that calls of this size fit. */
  prepare(size: PrepareSize): Promise<void> {
    return this.launcher.prepare(size);
  }

  /** Replaces some or all parameters; calls already started keep the old ones. */
  setParameters(parameters: Partial<ToyParameters>): void {
    this.launcher.setParameters(new Map(Object.entries(parameters ?? {})));
  }

  /** The same on another device, for example after this one was lost. */
  async rebuild(device: CpuDevice): Promise<ToyLauncher> {
    return new ToyLauncher(await this.launcher.rebuild(device));
  }

  /** Frees the parameters' buffer; the device and tensors stay. */
  destroy(): void {
    this.launcher.destroy();
  }
}

/**
 * Makes a launcher for `toy`: picks the first plan that the device can run, compiles its kernels and uploads
 * the parameters.
 *
 * @param device From `openCpu`.
 */
export async function create(
  device: CpuDevice,
  parameters: ToyParameters,
  options: CpuLauncherOptions = {},
): Promise<ToyLauncher> {
  const values = new Map(Object.entries(parameters ?? {}));
  return new ToyLauncher(await launch(device, artifact, values, options));
}

/** `create` under a name of its own, for files that use several attentions. */
export const createToy = create;

/** Initial parameters as the spec's `init` has them; the same seed gives the same ones. */
export function initParameters(seed: number): ToyParameters {
  const values = initialValues(pipeline, seed);
  const take = <const Shape extends readonly number[]>(name: string, shape: Shape): ParameterTensor<Shape> => ({
    shape,
    data: Float32Array.from(values.get(name)?.data ?? []),
  });
  return {
    "scores.conv.weight": take("scores.conv.weight", [2, 1, 2, 9]),
  };
}
