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
  /** Allocates the call's buffers; runs inside error scopes. */
  readonly start: () => StartedCall;
}

/**
 * Submits a call piece by piece, waits for its end and checks for errors; its buffers go back to the pool.
 *
 * @throws GpuError MTA705, MTA726, MTA732 … MTA734.
 */
export async function submitCall(submission: Submission): Promise<ForwardResult> {
  const { device, context, dispatches, timestamps } = submission;
  const began = performance.now();
  const { result, checked } = inErrorScopes(device, context, () => ({
    started: submission.start(),
    timer: timestamps ? PassTimer.create(device, dispatches.length) : null,
  }));
  const { started, timer } = result;
  const { execution, o, lse } = started;
  try {
    const pieces = submitPieces(submission, execution, timer);
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

async function submitPieces(
  { device, context, dispatches, budget }: Submission,
  execution: CallExecution,
  timer: PassTimer | null,
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
      if (from === 0) execution.recordInputs(encoder);
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
