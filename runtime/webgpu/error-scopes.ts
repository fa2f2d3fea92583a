import { place } from "../contract/messages.ts";
import type { KernelPlan } from "../contract/plan.ts";
import { blameTensor, type NamedBuffer } from "./blame.ts";
import { waitFor } from "./device-state.ts";
import { GpuError, type GpuErrorCode } from "./errors.ts";

/** In the order in which errors are reported: validation errors often only follow from the others. */
const SCOPES = [
  ["out-of-memory", "MTA732", "the device is out of memory"],
  ["internal", "MTA734", "the driver failed"],
  ["validation", "MTA733", "the device refused a command"],
] as const satisfies readonly (readonly [GPUErrorFilter, GpuErrorCode, string])[];

/** What a command belongs to, for the error message. */
export interface ErrorContext {
  /** For example `attention "mta"`. */
  readonly subject: string;
  /** Kernels whose labels may stand in the driver's message. */
  readonly kernels?: readonly KernelPlan[];
  /** Tensors of the caller whose buffers the command uses. */
  readonly tensors?: readonly NamedBuffer[];
}

/**
 * Runs `work` inside error scopes of all three kinds. Scopes are a stack of the device, so `work` must be synchronous:
 * anything else that ran in between would be blamed for, or hide, our errors (WebGPU, "Error Scopes").
 *
 * @returns The result, and a promise that rejects with a GpuError (MTA732, MTA733, MTA734) when the device reported one.
 */
export function inErrorScopes<T>(
  device: GPUDevice,
  context: ErrorContext,
  work: () => T,
): { readonly result: T; readonly checked: Promise<void> } {
  for (const [filter] of SCOPES) device.pushErrorScope(filter);
  const pop = (): Promise<GPUError | null>[] => SCOPES.map(() => device.popErrorScope());
  let result: T;
  try {
    result = work();
  } catch (error) {
    for (const scope of pop()) scope.catch(() => undefined);
    throw error;
  }
  const popped = pop();
  const checked = (async () => {
    const errors = await waitFor(device, Promise.all(popped));
    // Scopes are popped in the reverse order of pushing.
    errors.reverse().forEach((error, index) => {
      const scope = SCOPES[index];
      if (error !== null && scope !== undefined) throw deviceError(scope[1], scope[2], error, context);
    });
  })();
  // Callers that await `checked` late, or never, must not turn an error into an unhandled rejection.
  checked.catch(() => undefined);
  return { result, checked };
}

function deviceError(code: GpuErrorCode, what: string, error: GPUError, context: ErrorContext): GpuError {
  const kernel = context.kernels?.find(({ name }) => error.message.includes(`"${name}"`)) ?? null;
  const where = place(kernel?.name ?? null, kernel?.source ?? null);
  const details = { kernel: kernel?.name ?? null, source: kernel?.source ?? null, cause: error };
  const said = error.message.trim();
  const blame = code === "MTA733" ? blameTensor(said, context.tensors ?? []) : null;
  if (blame !== null)
    return new GpuError(code, `${context.subject}: ${blame.reason}${where}: ${said}`, {
      ...details,
      remedy: blame.remedy,
    });
  return new GpuError(code, `${context.subject}: ${what}${where}: ${said}`, {
    ...details,
    ...(code === "MTA732"
      ? { remedy: "use a smaller batch or shorter sequences, or destroy tensors that are no longer needed" }
      : {}),
  });
}
