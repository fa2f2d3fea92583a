import { type Layout, type Plan, withoutDropout } from "../../runtime/contract/index.ts";
import type { BackendTypes } from "../../runtime/launcher/backend.ts";
import { artifactOf, loadGradients } from "../emit/index.ts";
import { choosePlan } from "../plan/index.ts";
import { forwardOn, type TargetDevice } from "./device.ts";
import { type RunRequest, type RunResult, shapeOf } from "./request.ts";
import { trainOn } from "./training.ts";

/**
 * Computes an attention on a device, with the plan that won there, else one that is made for it.
 * @throws MtacError MTA405 (no schedule fits the device), the target's errors
 */
export async function executeOn<Tensor extends Layout, Types extends BackendTypes<Tensor>>(
  device: TargetDevice<Tensor, Types>,
  request: RunRequest,
): Promise<RunResult> {
  const { call, schedule, onStep } = request;
  // What drops weights is planned for calls that say which; nobody has tuned that.
  const drops = call.inputs.dropoutSeed !== undefined;
  const pipeline = drops ? request.pipeline : withoutDropout(request.pipeline);
  const { target, identity, machine } = device;
  const { dO } = call;
  if (dO !== null) await loadGradients();
  const wonOf = (direction: Plan["direction"]): Plan | null =>
    (drops ? null : request.tuned?.({ target, identity, machine }, direction)) ?? null;
  const won = wonOf(undefined);
  const wonBackward = dO === null ? null : wonOf("backward");
  const planned = { machine, shape: shapeOf(call) };
  const plan = won ?? choosePlan(pipeline, { ...planned, ...(schedule === undefined ? {} : { schedule }) });
  const backwardPlans =
    dO === null ? [] : [wonBackward ?? choosePlan(pipeline, { ...planned, direction: "backward" })];
  const artifact = artifactOf(pipeline, [plan], backwardPlans);
  onStep?.("compiling the kernels");
  const asked = {
    pipeline,
    call,
    compiled: () => onStep?.(device.counts ? "computing on the emulated device" : "computing"),
  };
  const { tensors, statistics, backward } =
    dO === null
      ? { ...(await forwardOn(device, artifact, asked)), backward: undefined }
      : await trainOn(device, artifact, asked, dO);
  const { kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes } = statistics;
  const counted = device.counted(statistics);
  return {
    tensors,
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
        : {
            backward: {
              choice: wonBackward === null ? "planner" : "tuned",
              wallMs: backward.wallMs,
              workspaceBytes: backward.workspaceBytes,
            },
          }),
      ...(counted === null ? {} : { counters: counted.counters }),
    },
  };
}
