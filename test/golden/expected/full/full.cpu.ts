// attention full, from full.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

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
import { artifact, pipeline } from "./full.cpu.kernels.js";

/** A parameter on the host; `data` holds one value for each element of `shape`. */
export interface ParameterTensor<Shape extends readonly number[]> {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Parameters of `full`: f32, row-major, named as a PyTorch module would name them. */
export interface FullParameters {
  /** [4, 1, 6, 11] = [head, head read, query row, key]; initially the identity. */
  readonly "scores.conv.weight": ParameterTensor<readonly [4, 1, 6, 11]>;
  /** [1, 4, 4] = [group, head written, head read]; initially the identity. */
  readonly "scores.mix.weight": ParameterTensor<readonly [1, 4, 4]>;
  /** [4, 1, 6, 11] = [head, head read, query row, key]; initially the identity. */
  readonly "weights.conv.weight": ParameterTensor<readonly [4, 1, 6, 11]>;
  /** [1, 4, 4] = [group, head written, head read]; initially the identity. */
  readonly "weights.mix.weight": ParameterTensor<readonly [1, 4, 4]>;
  /** [32] = [channel]; initially 1. */
  readonly "output.norm.weight": ParameterTensor<readonly [32]>;
  /** [1, 32] = [gate, channel]; initially 0. */
  readonly "output.gate.weight": ParameterTensor<readonly [1, 32]>;
  /** [1] = [gate]; initially 0. */
  readonly "output.gate.bias": ParameterTensor<readonly [1]>;
}

/**
 * Inputs of one call: B batch entries, Lq query rows, Lk keys. Tensors live on the launcher's device;
 * `upload` of `mtac/runtime/cpu` puts them there.
 */
export interface FullInputs {
  /** f16 [B, 4, Lq, 32] */
  readonly q: CpuTensor<"f16", readonly [number, 4, number, 32]>;
  /** f16 [B, 4, Lk, 32] */
  readonly k: CpuTensor<"f16", readonly [number, 4, number, 32]>;
  /** f16 [B, 4, Lk, 32] */
  readonly v: CpuTensor<"f16", readonly [number, 4, number, 32]>;
  /** f16 [B, 4, R, 32]: the query rows just before row 0. */
  readonly qHistory?: CpuTensor<"f16", readonly [number, 4, number, 32]>;
  /** i32 [B]: absolute position of row 0. Lk − Lq if not given. */
  readonly positions?: CpuTensor<"i32", readonly [number]>;
}

/** What a call gives. */
export interface FullResult extends CpuForwardResult {
  readonly o: OwnedCpuTensor<"f16", readonly [number, 4, number, 32]>;
  readonly lse: OwnedCpuTensor<"f32", readonly [number, 4, number]>;
}

/** `full` on one device, with its parameters. Made by `create`. */
export class FullLauncher {
  /** What this one wraps: its plan, its device, its host copies of the parameters. */
  readonly launcher: Launcher;

  constructor(launcher: Launcher) {
    this.launcher = launcher;
  }

  /**
   * Computes the attention and waits for it.
   *
   * @returns `o`: f16 [B, 4, Lq, 32]; `lse`: f32 [B, 4, Lq]. They stay in the library's memory, and are the
   * caller's to destroy.
   */
  forward(inputs: FullInputs, outputs?: CpuOutputs): Promise<FullResult> {
    return this.launcher.forward<FullResult>(inputs, outputs);
  }

  /** Runs a call again and again, after one run that is not counted. */
  time(inputs: FullInputs, options: { readonly repeats?: number } = {}): Promise<Timing> {
    return this.launcher.time(inputs, options);
  }

  /** Checks that calls of this size fit. */
  prepare(size: PrepareSize): Promise<void> {
    return this.launcher.prepare(size);
  }

  /** Replaces some or all parameters; calls already started keep the old ones. */
  setParameters(parameters: Partial<FullParameters>): void {
    this.launcher.setParameters(new Map(Object.entries(parameters ?? {})));
  }

  /** The same on another device, for example after this one was lost. */
  async rebuild(device: CpuDevice): Promise<FullLauncher> {
    return new FullLauncher(await this.launcher.rebuild(device));
  }

  /** Frees the parameters' buffer; the device and tensors stay. */
  destroy(): void {
    this.launcher.destroy();
  }
}

/**
 * Makes a launcher for `full`: picks the first plan that the device can run, compiles its kernels and uploads
 * the parameters.
 *
 * @param device From `openCpu`.
 */
export async function create(
  device: CpuDevice,
  parameters: FullParameters,
  options: CpuLauncherOptions = {},
): Promise<FullLauncher> {
  const values = new Map(Object.entries(parameters ?? {}));
  return new FullLauncher(await launch(device, artifact, values, options));
}

/** `create` under a name of its own, for files that use several attentions. */
export const createFull = create;

/** Initial parameters as the spec's `init` has them; the same seed gives the same ones. */
export function initParameters(seed: number): FullParameters {
  const values = initialValues(pipeline, seed);
  const take = <const Shape extends readonly number[]>(name: string, shape: Shape): ParameterTensor<Shape> => ({
    shape,
    data: Float32Array.from(values.get(name)?.data ?? []),
  });
  return {
    "scores.conv.weight": take("scores.conv.weight", [4, 1, 6, 11]),
    "scores.mix.weight": take("scores.mix.weight", [1, 4, 4]),
    "weights.conv.weight": take("weights.conv.weight", [4, 1, 6, 11]),
    "weights.mix.weight": take("weights.mix.weight", [1, 4, 4]),
    "output.norm.weight": take("output.norm.weight", [32]),
    "output.gate.weight": take("output.gate.weight", [1, 32]),
    "output.gate.bias": take("output.gate.bias", [1]),
  };
}
