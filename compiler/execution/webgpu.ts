import { deviceIdentity, requestDevice } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { emitArtifact, emitKernels } from "../emit/index.ts";
import { webgpuMachine } from "../plan/index.ts";
import { type RunRequest, type RunResult, shapeOf } from "./request.ts";
import { forwardOnDevice, limitsOf } from "./webgpu-device.ts";

/**
 * Computes an attention on the machine's best WebGPU adapter, with a plan made for its limits.
 * @throws MtacError MTA401 (no schedule fits the device), GpuError
 */
export async function executeOnWebGpu({
  pipeline,
  call,
  schedule,
  tuned,
  onStep,
}: RunRequest): Promise<RunResult> {
  onStep?.("opening the device");
  const { adapter, description } = await openNodeGpu();
  const device = await requestDevice(adapter, { label: "mtac run" });
  try {
    const limits = limitsOf(device);
    const won =
      tuned?.({ target: "webgpu", identity: deviceIdentity(device), machine: webgpuMachine(limits) }) ?? null;
    const artifact =
      won === null
        ? emitArtifact(pipeline, {
            shape: shapeOf(call),
            variants: [limits],
            ...(schedule === undefined ? {} : { schedule }),
          })
        : { name: pipeline.name, plans: [won], sources: emitKernels(won) };
    onStep?.("compiling the kernels");
    const { tensors, statistics } = await forwardOnDevice(device, artifact, {
      pipeline,
      call,
      compiled: () => onStep?.("computing"),
    });
    const {
      schedule: taken,
      kernels,
      wallMs,
      deviceMs,
      peakBytes,
      workspaceBytes,
      compulsoryBytes,
    } = statistics;
    return {
      tensors,
      report: {
        target: "webgpu",
        device: description,
        schedule: taken,
        choice: won === null ? "planner" : "tuned",
        kernels,
        wallMs,
        deviceMs,
        peakBytes,
        workspaceBytes,
        compulsoryBytes,
      },
    };
  } finally {
    device.destroy();
  }
}
