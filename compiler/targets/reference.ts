import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
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
  const { inputs, parameters, dO } = call;
  const start = performance.now();
  const tensors = new Map<string, Float64Tensor>();
  const add = (name: string, tensor: Float64Tensor | null): void => {
    if (tensor !== null) tensors.set(name, tensor);
  };
  if (dO === null) {
    const { o, lse } = referenceForward(pipeline, parameters, inputs);
    add("o", o);
    add("lse", lse);
  } else {
    const gradients = referenceGradients(pipeline, parameters, inputs, dO);
    add("o", gradients.o);
    add("lse", gradients.lse);
    add("d_q", gradients.dQ);
    add("d_q_history", gradients.dQHistory);
    add("d_k", gradients.dK);
    add("d_v", gradients.dV);
    add("d_bias", gradients.dBias);
    for (const [name, tensor] of gradients.parameters) add(`d_${name}`, tensor);
  }
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
