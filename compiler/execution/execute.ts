import type { Layout } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import { emitKernels } from "../emit/index.ts";
import { choosePlan } from "../plan/index.ts";
import { forwardOn, type TargetDevice } from "./device.ts";
import { type RunRequest, type RunResult, shapeOf } from "./request.ts";

/**
 * Computes an attention on a device, with the plan that won there, else one that is made for it.
 * @throws MtacError MTA405 (no schedule fits the device), the target's errors
 */
export async function executeOn<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: TargetDevice<Tensor, Types>,
  request: RunRequest,
): Promise<RunResult> {
  const { pipeline, call, schedule, onStep } = request;
  const { target, identity, machine } = device;
  const won = request.tuned?.({ target, identity, machine }) ?? null;
  const planned = { machine, shape: shapeOf(call), ...(schedule === undefined ? {} : { schedule }) };
  const plan = won ?? choosePlan(pipeline, planned);
  const artifact = { name: pipeline.name, plans: [plan], sources: emitKernels(plan) };
  onStep?.("compiling the kernels");
  const { tensors, statistics } = await forwardOn(device, artifact, {
    pipeline,
    call,
    compiled: () => onStep?.(device.counts ? "computing on the emulated device" : "computing"),
  });
  if (call.dO !== null) onStep?.("computing gradients");
  const backward = call.dO === null ? undefined : await device.gradients?.(artifact, pipeline, call, call.dO);
  const { kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes } = statistics;
  const counted = device.counted(statistics);
  return {
    tensors: new Map([...tensors, ...(backward?.tensors ?? [])]),
    report: {
      target,
      device: device.description,
      schedule: statistics.schedule,
      choice: won === null ? "planner" : "tuned",
      kernels,
      wallMs,
      deviceMs,
      peakBytes,
      workspaceBytes,
      compulsoryBytes,
      ...(backward === undefined
        ? {}
        : { backward: { wallMs: backward.wallMs, workspaceBytes: backward.workspaceBytes } }),
      ...(counted === null ? {} : { counters: counted.counters }),
    },
  };
}
