import { waitFor } from "./device-state.ts";
import { type ErrorContext, inErrorScopes } from "./error-scopes.ts";
import type { Dispatch } from "./expand.ts";
import type { ForwardResult, StartedCall } from "./launcher.ts";
import { pacerOf } from "./pacing.ts";
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

/** Submits a call piece by piece, waits for its end and checks for errors; its buffers go back to the pool. */
export async function submitCall(submission: Submission): Promise<ForwardResult> {
  const { device, context, dispatches, budget, timestamps } = submission;
  const began = performance.now();
  const pacer = pacerOf(device);
  const { result: started, checked } = inErrorScopes(device, context, submission.start);
  const { execution, o, lse } = started;
  const checks: Promise<void>[] = [checked];
  const inFlight: Promise<void>[] = [];
  let timer: PassTimer | null = null;
  let lastEnd = began;
  let begin = 0;
  try {
    do {
      const from = begin;
      const end = pacer.cut(dispatches, from, budget);
      const piece = inErrorScopes(device, context, () => {
        if (timestamps && from === 0) timer = PassTimer.create(device, dispatches.length);
        const encoder = device.createCommandEncoder({ label: context.subject });
        if (from === 0) execution.recordInputs(encoder);
        execution.recordDispatches(encoder, from, end, timer?.nextPass() ?? null);
        device.queue.submit([encoder.finish()]);
      });
      checks.push(piece.checked);
      const submitted = performance.now();
      const multiplyAdds = dispatches
        .slice(from, end)
        .reduce((sum, dispatch) => sum + dispatch.multiplyAdds, 0);
      inFlight.push(
        waitFor(device, device.queue.onSubmittedWorkDone()).then(() => {
          const now = performance.now();
          pacer.observe(multiplyAdds, now - Math.max(submitted, lastEnd));
          lastEnd = now;
        }),
      );
      begin = end;
      if (begin < dispatches.length && inFlight.length >= MAX_IN_FLIGHT) await inFlight.shift();
    } while (begin < dispatches.length);
    await Promise.all([...checks, ...inFlight]);
  } catch (error) {
    for (const pending of inFlight) pending.catch(() => undefined);
    execution.discard();
    throw error;
  }
  const wallMs = performance.now() - began;
  execution.release();
  const deviceMs = await readTimer(timer);
  return { o, lse, statistics: { ...execution.footprint, wallMs, deviceMs } };
}

async function readTimer(timer: PassTimer | null): Promise<number | null> {
  return timer === null ? null : timer.read();
}
