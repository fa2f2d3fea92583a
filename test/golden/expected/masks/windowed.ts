// attention windowed, from masks.mta:3. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import {
  type AttentionOutputs,
  type DeviceTensor,
  type EncodedCall,
  type ForwardResult,
  type Launcher,
  type LauncherOptions,
  type OwnedTensor,
  type PrepareSize,
  type Timing,
  createLauncher as launch,
  initParameters as initialValues,
} from "mtac/runtime";
import { artifact, pipeline } from "./windowed.kernels.js";

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
 * `upload` of `mtac/runtime` puts them there.
 */
export interface WindowedInputs {
  /** bf16 [B, 8, Lq, 40] */
  readonly q: DeviceTensor<"bf16", readonly [number, 8, number, 40]>;
  /** bf16 [B, 2, Lk, 40] */
  readonly k: DeviceTensor<"bf16", readonly [number, 2, number, 40]>;
  /** bf16 [B, 2, Lk, 40] */
  readonly v: DeviceTensor<"bf16", readonly [number, 2, number, 40]>;
  /** bf16 [B, 8, R, 40]: the query rows just before row 0. */
  readonly qHistory?: DeviceTensor<"bf16", readonly [number, 8, number, 40]>;
  /** i32 [B, Lk]: the document of each key; negative ones are hidden. */
  readonly documents: DeviceTensor<"i32", readonly [number, number]>;
  /** i32 [B]: rows and keys that are filled. */
  readonly lengths: DeviceTensor<"i32", readonly [number]>;
  /** i32 [B]: absolute position of row 0. Lk − Lq if not given. */
  readonly positions?: DeviceTensor<"i32", readonly [number]>;
  /** f32 [B or 1, 8 or 1, R + Lq, Lk]: added to the scores; −∞ hides a pair. */
  readonly bias: DeviceTensor<"f32", readonly [number, number, number, number]>;
  /** The layer's number from 0, for `depth_scale`. */
  readonly layer: number;
}

/** What a call gives. */
export interface WindowedResult extends ForwardResult {
  readonly o: OwnedTensor<"bf16", readonly [number, 8, number, 40]>;
  readonly lse: OwnedTensor<"f32", readonly [number, 8, number]>;
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
   * @returns `o`: bf16 [B, 8, Lq, 40]; `lse`: f32 [B, 8, Lq]. They stay on the device, and are the caller's
   * to destroy.
   */
  forward(inputs: WindowedInputs, outputs?: AttentionOutputs): Promise<WindowedResult> {
    return this.launcher.forward<WindowedResult>(inputs, outputs);
  }

  /**
   * Records the attention into a command encoder that has no pass open; `prepare` first what its size needs.
   * Call `release()` on the result once the commands are submitted.
   */
  encode(
    encoder: GPUCommandEncoder,
    inputs: WindowedInputs,
    outputs?: AttentionOutputs,
  ): EncodedCall<WindowedResult> {
    return this.launcher.encode<WindowedResult>(encoder, inputs, outputs);
  }

  /** Runs a call again and again, after one run that is not counted. */
  time(inputs: WindowedInputs, options: { readonly repeats?: number } = {}): Promise<Timing> {
    return this.launcher.time(inputs, options);
  }

  /** Compiles what calls of this size need, so that `encode` can follow. */
  prepare(size: PrepareSize): Promise<void> {
    return this.launcher.prepare(size);
  }

  /** Replaces some or all parameters; calls already started keep the old ones. */
  setParameters(parameters: Partial<WindowedParameters>): void {
    this.launcher.setParameters(new Map(Object.entries(parameters ?? {})));
  }

  /** The same on another device, for example after this one was lost. */
  async rebuild(device: GPUDevice): Promise<WindowedLauncher> {
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
 * @param device The caller's own, or one from `requestDevice`.
 */
export async function create(
  device: GPUDevice,
  parameters: WindowedParameters,
  options: LauncherOptions = {},
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
