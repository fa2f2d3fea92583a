import {
  type Artifact,
  type AttentionInputs,
  type Float64Tensor,
  GRADIENT_TENSORS,
  type HostTensor,
  type Layout,
} from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { GradientKey, SavedResult } from "../../runtime/launcher/gradients.ts";
import type { SavedCall } from "../../runtime/launcher/saved.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import {
  type CallDevice,
  type ForwardDevice,
  type ForwardOutcome,
  type ForwardRequest,
  readResults,
  readTensor,
} from "./device.ts";

/** What a call and its backward pass gave, on the host: gradients by their names in files, `d_q` and so on, beside the results. */
export interface TrainingOutcome<Statistics> extends ForwardOutcome<Statistics> {
  readonly backward: Statistics;
}

/** A launcher as a call with gradients needs it. */
export interface TrainingLauncher<Tensor, Statistics> {
  /** Saves the call. */
  forward(inputs: AttentionInputs<Tensor>): Promise<
    SavedResult<{
      readonly o: Tensor;
      readonly lse: Tensor | null;
      readonly statistics: Statistics;
    }>
  >;
  /** Gives `EVERY_GRADIENT`. */
  backward(
    saved: SavedCall,
    dO: Tensor,
  ): Promise<GivenGradients<Tensor> & { readonly statistics: Statistics }>;
  destroy(): void;
}

/** Gradients, as far as they were asked for. */
type GivenGradients<Tensor> = Readonly<Record<(typeof GRADIENT_TENSORS)[number]["key"], Tensor | null>> & {
  readonly parameters: ReadonlyMap<string, HostTensor> | null;
};

/**
 * Computes a call on a device, then gradients of Σ o·dO, and brings all of it back.
 *
 * @param artifact With a plan for gradients.
 * @throws the target's errors, and MtacError MTA601 … MTA613 when inputs or parameters do not fit
 */
export async function trainOn<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: CallDevice<Tensor, Types>,
  artifact: Artifact,
  request: ForwardRequest,
  dO: Float64Tensor,
): Promise<TrainingOutcome<Types["statistics"]>> {
  const launcher = await device.launch(artifact, hostParameters(request.call.parameters));
  const own: TrainingLauncher<Tensor, Types["statistics"]> = {
    forward: (inputs) => launcher.forward(inputs, { save: true }),
    backward: (saved, gradient) => launcher.backward(saved, gradient, { wanted: EVERY_GRADIENT }),
    destroy: () => launcher.destroy(),
  };
  return trainWith(device, own, request, dO);
}

/** The same with a launcher that there is; it is destroyed. */
export async function trainWith<Tensor extends Layout, Statistics>(
  device: Pick<ForwardDevice<Tensor, Statistics>, "upload" | "download">,
  launcher: TrainingLauncher<Tensor, Statistics>,
  { pipeline, call, compiled }: ForwardRequest,
  dO: Float64Tensor,
): Promise<TrainingOutcome<Statistics>> {
  compiled?.();
  const inputs = placeInputs(pipeline, call.inputs, (tensor, as) => device.upload(tensor, as));
  const { o, lse, saved, statistics } = await launcher.forward(inputs);
  const gradients = await launcher.backward(saved, device.upload(dO, pipeline.storage));
  saved.release();
  const results = await readResults(device, lse === null ? { o } : { o, lse });
  const tensors = new Map([...results, ...(await readGradients(device, gradients))]);
  launcher.destroy();
  return { tensors, statistics, backward: gradients.statistics };
}

/** Every gradient that a call can have: that of the bias, too, for which one has to ask. */
export const EVERY_GRADIENT: readonly GradientKey[] = [
  ...GRADIENT_TENSORS.map(({ key }) => key),
  "parameters",
];

/** Brings gradients to the host, by their names in files. */
export async function readGradients<Tensor extends Layout>(
  device: Pick<ForwardDevice<Tensor, unknown>, "download">,
  gradients: GivenGradients<Tensor>,
): Promise<ReadonlyMap<string, Float64Tensor>> {
  const tensors = new Map<string, Float64Tensor>();
  for (const { name, key } of GRADIENT_TENSORS) {
    const tensor = gradients[key];
    if (tensor !== null) tensors.set(name, await readTensor(device, tensor));
  }
  for (const [name, { shape, data }] of gradients.parameters ?? [])
    tensors.set(`d_${name}`, { shape, data: Float64Array.from(data) });
  return tensors;
}
