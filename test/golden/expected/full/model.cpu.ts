// stack model, from full.mta. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import type { CpuDevice, CpuForwardResult, CpuLauncherOptions, CpuOutputs } from "mtac/runtime/cpu";
import * as headsOnlyModule from "./heads_only.cpu.js";
import * as fullModule from "./full.cpu.js";

/** One layer of the stack; it knows its number, which `depth_scale` needs. */
export interface StackLayer<Inputs, Result extends CpuForwardResult> {
  readonly layer: number;
  /** Computes the attention and waits for it. */
  forward(inputs: Inputs, outputs?: CpuOutputs): Promise<Result>;
  /** Frees the layer's parameters. */
  destroy(): void;
}

/** The parameters of every layer. */
export type ModelParameters = readonly [
  /* 0 */ headsOnlyModule.HeadsOnlyParameters,
  /* 1 */ headsOnlyModule.HeadsOnlyParameters,
  /* 2 */ fullModule.FullParameters,
  /* 3 */ headsOnlyModule.HeadsOnlyParameters,
];

/** Every layer's launcher. */
export type ModelLauncherLayers = readonly [
  /* 0 */ StackLayer<headsOnlyModule.HeadsOnlyInputs, headsOnlyModule.HeadsOnlyResult>,
  /* 1 */ StackLayer<headsOnlyModule.HeadsOnlyInputs, headsOnlyModule.HeadsOnlyResult>,
  /* 2 */ StackLayer<fullModule.FullInputs, fullModule.FullResult>,
  /* 3 */ StackLayer<headsOnlyModule.HeadsOnlyInputs, headsOnlyModule.HeadsOnlyResult>,
];

/** The 4 layers of `model` on one device. Made by `create`. */
export class ModelLauncher {
  readonly layers: ModelLauncherLayers;

  constructor(layers: ModelLauncherLayers) {
    this.layers = layers;
  }

  /** Frees the parameters of all layers. */
  destroy(): void {
    for (const layer of this.layers) layer.destroy();
  }
}

/**
 * Makes the launchers of all layers. Layers with equal attentions share their kernels.
 *
 * @param device From `openCpu`.
 */
export async function create(
  device: CpuDevice,
  parameters: ModelParameters,
  options: CpuLauncherOptions = {},
): Promise<ModelLauncher> {
  return new ModelLauncher([
    layerOf(0, await headsOnlyModule.create(device, parameters[0], options), (inputs) => inputs),
    layerOf(1, await headsOnlyModule.create(device, parameters[1], options), (inputs) => inputs),
    layerOf(2, await fullModule.create(device, parameters[2], options), (inputs) => inputs),
    layerOf(3, await headsOnlyModule.create(device, parameters[3], options), (inputs) => inputs),
  ]);
}

/** Initial parameters of every layer, each from a seed of its own; the same seed gives the same ones. */
export function initParameters(seed: number): ModelParameters {
  return [
    headsOnlyModule.initParameters(seed),
    headsOnlyModule.initParameters(seed + 1),
    fullModule.initParameters(seed + 2),
    headsOnlyModule.initParameters(seed + 3),
  ];
}

function layerOf<Given, Needed, Result extends CpuForwardResult>(
  layer: number,
  launcher: Omit<StackLayer<Needed, Result>, "layer">,
  complete: (inputs: Given) => Needed,
): StackLayer<Given, Result> {
  return {
    layer,
    forward: (inputs, outputs) => launcher.forward(complete(inputs), outputs),
    destroy: () => launcher.destroy(),
  };
}

/** `create` under a name of its own. */
export const createModel = create;
