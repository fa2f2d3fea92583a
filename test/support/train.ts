import { artifactOf } from "../../compiler/emit/index.ts";
import type { CallDevice } from "../../compiler/execution/device.ts";
import { trainOn } from "../../compiler/execution/training.ts";
import { choosePlan, type Machine } from "../../compiler/plan/index.ts";
import type { Layout } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { Gradients, GradientTrial } from "./gradients.ts";
import { callShapeOf } from "./rounded.ts";

/** Gradients through a launcher of a device, in strips of so many rows. */
export async function gradientsOn<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: CallDevice<Tensor, Types>,
  machine: Machine,
  { pipeline, inputs, parameters, dO }: GradientTrial,
  stripRows: number,
): Promise<Gradients> {
  const planned = { machine, shape: callShapeOf(inputs) };
  const plan = choosePlan(pipeline, planned);
  const backward = choosePlan(pipeline, { ...planned, direction: "backward", options: { stripRows } });
  const asked = { pipeline, call: { inputs, parameters, dO } };
  const { tensors } = await trainOn(device, artifactOf(pipeline, [plan], [backward]), asked, dO);
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}
