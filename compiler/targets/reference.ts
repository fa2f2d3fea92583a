import { referenceTensors } from "../execution/reference-results.ts";
import { type RunReport, type RunRequest, type RunResult, shapeOf } from "../execution/request.ts";
import { compulsoryBytes } from "../ir/index.ts";
import { REFERENCE } from "../targets.ts";
import type { TargetExecutor } from "./runtime.ts";

/** The float64 reference, which knows gradients too. */
export const reference: TargetExecutor = {
  execute: async (request) => execute(request),
  devices: async () => [{ device: DEVICE, software: true, limits: {}, features: ["gradients"] }],
};

const DEVICE = "float64 on the processor";

function execute({ pipeline, call, onStep }: RunRequest): RunResult {
  onStep?.("computing the float64 reference");
  const start = performance.now();
  const tensors = referenceTensors(pipeline, call);
  const report: RunReport = {
    target: REFERENCE,
    device: DEVICE,
    schedule: null,
    choice: null,
    kernels: 0,
    wallMs: performance.now() - start,
    deviceMs: null,
    peakBytes: null,
    workspaceBytes: null,
    compulsoryBytes: compulsoryBytes(pipeline, shapeOf(call)),
  };
  return { tensors, report };
}
