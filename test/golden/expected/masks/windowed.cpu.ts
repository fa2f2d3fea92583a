// attention windowed, from masks.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

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
import { artifact, pipeline } from "./windowed.cpu.kernels.js";

/** A parameter on the host; `data` holds one value for each element of `shape`. */
export interface ParameterTensor<Shape extends readonly number[]> {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Parameters of `windowed`: f32, row-major, named as a PyTorch module would name them. */
export interface WindowedParameters {
  /** [8, 1, 3, 4] = [head, head read, query row, key]; initially the identity. */
  readonly "scores.conv.weight": ParameterTensor<readonly [8, 1, 3, 4]>;
  /** [8] = [head]; initially 0. */
  readonly "scores.conv.bias": ParameterTensor<readonly [8]>;
  /** [40] = [channel]; initially 1. */
  readonly "output.norm.weight": ParameterTensor<readonly [40]>;
  /** [40, 40] = [gate, channel]; initially 0. */
  readonly "output.gate.weight": ParameterTensor<readonly [40, 40]>;
  /** [40] = [gate]; initially 0. */
  readonly "output.gate.bias": ParameterTensor<readonly [40]>;
}

/**
 * Inputs of one call: B batch entries, Lq query rows, Lk keys. Tensors live on the launcher's device;
 * `upload` of `mtac/runtime/cpu` puts them there.
 */
export interface WindowedInputs {
  /** bf16 [B, 8, Lq, 40] */
  readonly q: CpuTensor<"bf16", readonly [number, 8, number, 40]>;
  /** bf16 [B, 2, Lk, 40] */
  readonly k: CpuTensor<"bf16", readonly [number, 2, number, 40]>;
  /** bf16 [B, 2, Lk, 40] */
  readonly v: CpuTensor<"bf16", readonly [number, 2, number, 40]>;
  /** bf16 [B, 8, R, 40]: the query rows just before row 0. */
  readonly qHistory?: CpuTensor<"bf16", readonly [number, 8, number, 40]>;
  /** i32 [B, Lk]: the document of each key; negative ones are hidden. */
  readonly documents: CpuTensor<"i32", readonly [number, number]>;
  /** i32 [B]: rows and keys that are filled. */
  readonly lengths: CpuTensor<"i32", readonly [number]>;
  /** i32 [B]: absolute position of row 0. Lk − Lq if not given. */
  readonly positions?: CpuTensor<"i32", readonly [number]>;
  /** f32 [B or 1, 8 or 1, R + Lq, Lk]: added to the scores; −∞ hides a pair. */
  readonly bias: CpuTensor<"f32", readonly [number, number, number, number]>;
  /** The layer's number from 0, for `depth_scale`. */
  readonly layer: number;
}

/** What a call gives. */
export interface WindowedResult extends CpuForwardResult {
  readonly o: OwnedCpuTensor<"bf16", readonly [number, 8, number, 40]>;
  readonly lse: OwnedCpuTensor<"f32", readonly [number, 8, number]>;
}

/** `windowed` on one device, with its parameters. Made by `create`. */
export class WindowedLauncher {
  /** What this one wraps: its plan, its device, its host copies of the parameters. */
  readonly launcher: Launcher;

  constructor(launcher: Launcher) {
    this.launcher = launcher;
  }

  /**
   * Computes the attention and waits for it.
   *
   * @returns `o`: bf16 [B, 8, Lq, 40]; `lse`: f32 [B, 8, Lq]. They stay in the library's memory, and are the
   * caller's to destroy.
   */
  forward(inputs: WindowedInputs, outputs?: CpuOutputs): Promise<WindowedResult> {
    return this.launcher.forward<WindowedResult>(inputs, outputs);
  }

  /** Runs a call again and again, after one run that is not counted. */
  time(inputs: WindowedInputs, options: { readonly repeats?: number } = {}): Promise<Timing> {
    return this.launcher.time(inputs, options);
  }

  /** Checks that calls of this size fit. */
  prepare(size: PrepareSize): Promise<void> {
    return this.launcher.prepare(size);
  }

  /** Replaces some or all parameters; calls already started keep the old ones. */
  setParameters(parameters: Partial<WindowedParameters>): void {
    this.launcher.setParameters(new Map(Object.entries(parameters ?? {})));
  }

  /** The same on another device, for example after this one was lost. */
  async rebuild(device: CpuDevice): Promise<WindowedLauncher> {
    return new WindowedLauncher(await this.launcher.rebuild(device));
  }

  /** Frees the parameters' buffer; the device and tensors stay. */
  destroy(): void {
    this.launcher.destroy();
  }
}

/**
 * Makes a launcher for `windowed`: picks the first plan that the device can run, compiles its kernels and
 * uploads the parameters.
 *
 * @param device From `openCpu`.
 */
export async function create(
  device: CpuDevice,
  parameters: WindowedParameters,
  options: CpuLauncherOptions = {},
): Promise<WindowedLauncher> {
  const values = new Map(Object.entries(parameters ?? {}));
  return new WindowedLauncher(await launch(device, artifact, values, options));
}

/** `create` under a name of its own, for files that use several attentions. */
export const createWindowed = create;

/** Initial parameters as the spec's `init` has them; the same seed gives the same ones. */
export function initParameters(seed: number): WindowedParameters {
  const values = initialValues(pipeline, seed);
  const take = <const Shape extends readonly number[]>(name: string, shape: Shape): ParameterTensor<Shape> => ({
    shape,
    data: Float32Array.from(values.get(name)?.data ?? []),
  });
  return {
    "scores.conv.weight": take("scores.conv.weight", [8, 1, 3, 4]),
    "scores.conv.bias": take("scores.conv.bias", [8]),
    "output.norm.weight": take("output.norm.weight", [40]),
    "output.gate.weight": take("output.gate.weight", [40, 40]),
    "output.gate.bias": take("output.gate.bias", [40]),
  };
}
