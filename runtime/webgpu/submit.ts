import type { Dispatch } from "../contract/expand.ts";
import { checkDevice, waitFor } from "./device-state.ts";
import { type ErrorContext, inErrorScopes } from "./error-scopes.ts";
import type { CallExecution, ForwardResult, StartedCall } from "./execution.ts";
import { pacerOf } from "./pacing.ts";
import { checkAllocation } from "./tensors.ts";
import { PassTimer } from "./timestamps.ts";

/** Submissions that may wait in the queue: one runs while the next one stands ready. */
const MAX_IN_FLIGHT = 2;

export interface Submission {
  readonly device: GPUDevice;
  readonly context: ErrorContext;
  readonly dispatches: readonly Dispatch[];
  /** Multiply-adds of one piece; undefined: as the device's speed suggests. */
  readonly budget: number | undefined;
  readonly timestamps: boolean;
  /** Whether the caller may change or destroy inputs while the call runs. */
  readonly protectsInputs: boolean;
  /** Compiles kernels that are missing; null when none is. */
  readonly compile: (() => Promise<void>) | null;
  /** Allocates the call's buffers; runs inside error scopes. */
  readonly start: (copiesInputs: boolean) => StartedCall;
  /** Binds the call to its kernels, which are compiled by then; runs inside error scopes. */
  readonly bind: (execution: CallExecution) => void;
}

/**
 * Submits a call piece by piece, waits for its end and checks for errors; its buffers go back to the pool. All that reads what
 * the caller may change happens before this returns its promise: a short call whose kernels are compiled is submitted whole by
 * then, of others the inputs are copied.
 *
 * @throws GpuError MTA705, MTA726, MTA732 … MTA734.
 */
export async function submitCall(submission: Submission): Promise<ForwardResult> {
  const { device, context, dispatches, timestamps, compile } = submission;
  let began = performance.now();
  const copiesInputs = submission.protectsInputs && !isSubmittedAtOnce(submission);
  const copiesNow = copiesInputs && compile !== null;
  const { result, checked } = inErrorScopes(device, context, () => {
    const started = submission.start(copiesInputs);
    if (copiesNow) submitInputs(device, started.execution);
    return { started, timer: timestamps ? PassTimer.create(device, dispatches.length) : null };
  });
  const { started, timer } = result;
  const { execution, o, lse } = started;
  try {
    if (compile !== null) {
      await compile();
      checkDevice(device);
      began = performance.now();
    }
    const pieces = submitPieces(submission, execution, timer, copiesNow);
    pieces.catch(() => undefined);
    // The causes first: an allocation that failed makes every later command invalid.
    for (const tensor of execution.tensors) await checkAllocation(tensor);
    await checked;
    await pieces;
    checkDevice(device);
    const wallMs = performance.now() - began;
    const deviceMs = timer === null ? null : await timer.read();
    execution.release();
    return { o, lse, statistics: { ...execution.footprint, wallMs, deviceMs } };
  } catch (error) {
    execution.discard();
    throw error;
  } finally {
    timer?.destroy();
  }
}

/** Whether no command is left to be submitted once control goes back to the caller. */
function isSubmittedAtOnce({ device, dispatches, budget, compile }: Submission): boolean {
  if (compile !== null) return false;
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
  { device, context, dispatches, budget, bind }: Submission,
  execution: CallExecution,
  timer: PassTimer | null,
  hasInputs: boolean,
): Promise<void> {
  const pacer = pacerOf(device);
  const pending: Promise<void>[] = [];
  let lastEnd = 0;
  let begin = 0;
  do {
    const from = begin;
    const end = pacer.cut(dispatches, from, budget);
    const { checked } = inErrorScopes(device, context, () => {
      const encoder = device.createCommandEncoder({ label: context.subject });
      if (from === 0) bind(execution);
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
