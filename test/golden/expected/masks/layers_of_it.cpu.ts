// stack layers_of_it, from masks.mta. Made by mtac 0.1.0: change the spec and compile it again, not this file.

import type { CpuDevice, CpuForwardResult, CpuLauncherOptions, CpuOutputs } from "mtac/runtime/cpu";
import * as windowedModule from "./windowed.cpu.js";
import * as constructorModule from "./constructor.cpu.js";

/** One layer of the stack; it knows its number, which `depth_scale` needs. */
export interface StackLayer<Inputs, Result extends CpuForwardResult> {
  readonly layer: number;
  /** Computes the attention and waits for it. */
  forward(inputs: Inputs, outputs?: CpuOutputs): Promise<Result>;
  /** Frees the layer's parameters. */
  destroy(): void;
}

/** The parameters of every layer. */
export type LayersOfItParameters = readonly [
  /* 0 */ windowedModule.WindowedParameters,
  /* 1 */ windowedModule.WindowedParameters,
  /* 2 */ constructorModule.ConstructorParameters,
];

/** Every layer's launcher. */
export type LayersOfItLauncherLayers = readonly [
  /* 0 */ StackLayer<Omit<windowedModule.WindowedInputs, "layer">, windowedModule.WindowedResult>,
  /* 1 */ StackLayer<Omit<windowedModule.WindowedInputs, "layer">, windowedModule.WindowedResult>,
  /* 2 */ StackLayer<constructorModule.ConstructorInputs, constructorModule.ConstructorResult>,
];

/** The 3 layers of `layers_of_it` on one device. Made by `create`. */
export class LayersOfItLauncher {
  readonly layers: LayersOfItLauncherLayers;

  constructor(layers: LayersOfItLauncherLayers) {
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
  parameters: LayersOfItParameters,
  options: CpuLauncherOptions = {},
): Promise<LayersOfItLauncher> {
  return new LayersOfItLauncher([
    layerOf(0, await windowedModule.create(device, parameters[0], options), (inputs) => ({ ...inputs, layer: 0 })),
    layerOf(1, await windowedModule.create(device, parameters[1], options), (inputs) => ({ ...inputs, layer: 1 })),
    layerOf(2, await constructorModule.create(device, parameters[2], options), (inputs) => inputs),
  ]);
}

/** Initial parameters of every layer, each from a seed of its own; the same seed gives the same ones. */
export function initParameters(seed: number): LayersOfItParameters {
  return [
    windowedModule.initParameters(seed),
    windowedModule.initParameters(seed + 1),
    constructorModule.initParameters(seed + 2),
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
export const createLayersOfIt = create;
