import { artifactOf } from "../../compiler/emit/index.ts";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import type { CallDevice } from "../../compiler/execution/device.ts";
import { readGradients } from "../../compiler/execution/training.ts";
import { choosePlan, type Machine, planCandidates } from "../../compiler/plan/index.ts";
import { type Artifact, elementCount, type Layout, type Plan } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import type { Gradients, GradientTrial } from "./gradients.ts";
import { callShapeOf } from "./rounded.ts";

/** An artifact whose forward plan keeps nothing for a backward pass. */
function forgetting(whole: Artifact, plan: Plan): Artifact {
  const { plans, sources } = artifactOf(plan.pipeline, [plan]);
  return { ...whole, plans, sources: { ...whole.sources, ...sources } };
}

/**
 * Gradients through a launcher of a device, in strips of so many rows. What they are written to is full of NaN before.
 *
 * @param lowering Taken where the planner has it, though it prefers another.
 */
export async function gradientsOn<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: CallDevice<Tensor, Types>,
  machine: Machine,
  { pipeline, inputs, parameters, dO, forgets = false }: GradientTrial,
  stripRows: number,
  lowering?: string,
): Promise<Gradients> {
  const planned = { machine, shape: callShapeOf(inputs) };
  const plan = choosePlan(pipeline, planned);
  const asked = { ...planned, direction: "backward", options: { stripRows } } as const;
  const wanted =
    lowering === undefined
      ? undefined
      : planCandidates(pipeline, asked).find(
          ({ plan: found, knobs }) => found !== null && knobs["lowering"] === lowering,
        );
  const backward = wanted?.plan ?? choosePlan(pipeline, asked);
  const whole = artifactOf(pipeline, [plan], [backward]);
  const launcher = await device.launch(forgets ? forgetting(whole, plan) : whole, hostParameters(parameters));
  const placed = placeInputs(pipeline, inputs, (tensor, as) => device.upload(tensor, as));
  const { saved } = await launcher.forward(placed, { save: true });
  const full = (shape: readonly number[]): Types["owned"] =>
    device.upload({ shape, data: new Float32Array(elementCount(shape)).fill(Number.NaN) }, "f32");
  const { q, k, v, qHistory, bias } = inputs;
  const words = pipeline.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const gradients = await launcher.backward(saved, device.upload(dO, pipeline.storage), {
    dQ: full(q.shape),
    dK: full(k.shape),
    dV: full(v.shape),
    ...(qHistory === undefined ? {} : { dQHistory: full(qHistory.shape) }),
    ...(bias === undefined ? {} : { dBias: full(bias.shape) }),
    ...(words === 0 ? {} : { dParameters: full([words]) }),
  });
  saved.release();
  const tensors = await readGradients(device, gradients);
  launcher.destroy();
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}
