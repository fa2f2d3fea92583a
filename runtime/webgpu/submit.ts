import type { CallOutcome, RunOptions } from "../launcher/backend.ts";
import { checkDevice, waitFor } from "./device-state.ts";
import { type ErrorContext, inErrorScopes } from "./error-scopes.ts";
import { CallExecution } from "./execution.ts";
import { pacerOf } from "./pacing.ts";
import type { GpuBackend, WebGpu, WebGpuCall } from "./target.ts";
import type { DeviceTensor } from "./tensors.ts";
import { PassTimer } from "./timestamps.ts";

/** Submissions that may wait in the queue: one runs while the next one stands ready. */
const MAX_IN_FLIGHT = 2;

/**
 * Submits a call piece by piece, waits for its end and checks for errors; its buffers go back to the pool. All that reads what
 * the caller may change happens before this returns its promise: a short call whose kernels are compiled is submitted whole by
 * then, of others the inputs are copied.
 *
 * @throws GpuError MTA705, MTA726, MTA732 … MTA734.
 */
export async function submitCall(
  backend: GpuBackend,
  call: WebGpuCall,
  { timestamps, protectsInputs }: RunOptions,
): Promise<CallOutcome<DeviceTensor, WebGpu>> {
  const { device } = backend;
  const { compile } = call;
  let began = performance.now();
  const copiesInputs = protectsInputs && !isSubmittedAtOnce(backend, call);
  const copiesNow = copiesInputs && compile !== null;
  const { result, checked } = inErrorScopes(device, contextOf(call), () => {
    const execution = new CallExecution(backend, call, copiesInputs);
    if (copiesNow) submitInputs(device, execution);
    return {
      execution,
      timer: timestamps ? PassTimer.create(device, call.expanded.dispatches.length) : null,
    };
  });
  const { execution, timer } = result;
  const { holdings, footprint } = execution;
  try {
    if (compile !== null) {
      await compile();
      checkDevice(device);
      began = performance.now();
    }
    const pieces = submitPieces(backend, call, execution, timer, copiesNow);
    pieces.catch(() => undefined);
    // The cause first: an allocation that failed makes every later command invalid.
    await checked;
    await pieces;
    checkDevice(device);
    const wallMs = performance.now() - began;
    const deviceMs = timer === null ? null : await timer.read();
    holdings.end(true);
    return { results: holdings.results, statistics: { ...footprint, wallMs, deviceMs } };
  } catch (error) {
    holdings.end(false);
    throw error;
  } finally {
    timer?.destroy();
  }
}

/** What errors of a call's commands are about. */
export function contextOf({ subject, plan, tensors, outputs }: WebGpuCall): ErrorContext {
  const named = [...tensors, ...outputs].map(([name, { buffer }]) => ({ name, buffer }));
  return { subject, kernels: plan.kernels, tensors: named };
}

/** Whether no command is left to be submitted once control goes back to the caller. */
function isSubmittedAtOnce({ device, budget }: GpuBackend, { compile, expanded }: WebGpuCall): boolean {
  if (compile !== null) return false;
  const { dispatches } = expanded;
  let end = 0;
  for (let piece = 0; piece < MAX_IN_FLIGHT; piece++) end = pacerOf(device).cut(dispatches, end, budget);
  return end >= dispatches.length;
}

function submitInputs(device: GPUDevice, execution: CallExecution): void {
  const encoder = device.createCommandEncoder({ label: "mtac inputs" });
  execution.recordInputs(encoder);
  device.queue.submit([encoder.finish()]);
}

async function submitPieces(
  { device, budget }: GpuBackend,
  call: WebGpuCall,
  execution: CallExecution,
  timer: PassTimer | null,
  hasInputs: boolean,
): Promise<void> {
  const { dispatches } = call.expanded;
  const context = contextOf(call);
  const pacer = pacerOf(device);
  const pending: Promise<void>[] = [];
  let lastEnd = 0;
  let begin = 0;
  do {
    const from = begin;
    const end = pacer.cut(dispatches, from, budget);
    const { checked } = inErrorScopes(device, context, () => {
      const encoder = device.createCommandEncoder({ label: context.subject });
      if (from === 0) execution.bind();
      if (from === 0 && !hasInputs) execution.recordInputs(encoder);
      execution.recordDispatches(encoder, from, end, timer?.nextPass() ?? null);
      device.queue.submit([encoder.finish()]);
    });
    const submitted = performance.now();
    const done = waitFor(device, device.queue.onSubmittedWorkDone()).then(() => {
      const now = performance.now();
      const multiplyAdds = dispatches
        .slice(from, end)
        .reduce((sum, dispatch) => sum + dispatch.multiplyAdds, 0);
      pacer.observe(multiplyAdds, now - Math.max(submitted, lastEnd));
      lastEnd = now;
      return checked;
    });
    // Errors are thrown where the promise is awaited, which may be after it was rejected.
    done.catch(() => undefined);
    pending.push(done);
    begin = end;
    if (begin < dispatches.length && pending.length >= MAX_IN_FLIGHT) await pending.shift();
  } while (begin < dispatches.length);
  await Promise.all(pending);
}
