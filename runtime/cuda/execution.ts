import { type CallFootprint, type CallStatistics, callValues } from "../contract/call.ts";
import type { ExpandedPlan } from "../contract/expand.ts";
import { tensorBytes } from "../contract/layout.ts";
import { place } from "../contract/messages.ts";
import type { ParameterStore, ParameterVersion } from "../contract/parameters.ts";
import type { KernelPlan, Plan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import { addCounters, type Counters } from "../emulator/index.ts";
import type { CudaAllocation, CudaKernel } from "./backend.ts";
import type { CudaCall } from "./checks.ts";
import type { CudaDevice } from "./device.ts";
import { CudaError } from "./errors.ts";
import { type AddressParts, collectAddresses, KernelParameters } from "./launch-parameters.ts";
import type { CudaTensor, OwnedCudaTensor } from "./tensors.ts";

/** What the emulator counted in one kernel, all its launches of a call together. */
export interface KernelCounters {
  readonly kernel: string;
  readonly counters: Counters;
}

export interface CudaStatistics extends CallStatistics {
  /** Sum over all kernels; null on a real device. */
  readonly counters: Counters | null;
  /** In the order in which the kernels were first launched; empty on a real device. */
  readonly kernelCounters: readonly KernelCounters[];
}

/** What a call gives; tensors stay on the device. */
export interface CudaForwardResult {
  /** [B, H, Lq, Dv]; the caller's to free (`o.destroy()`) unless it was the caller's own. */
  readonly o: OwnedCudaTensor;
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: OwnedCudaTensor | null;
  readonly statistics: CudaStatistics;
}

export interface ExecutionParts {
  readonly device: CudaDevice;
  readonly plan: Plan;
  /** Whether it won on this device, at shapes near the call. */
  readonly tuned: boolean;
  readonly call: CudaCall;
  readonly expanded: ExpandedPlan;
  readonly kernels: ReadonlyMap<string, CudaKernel>;
  readonly parameters: ParameterStore<CudaAllocation>;
  readonly o: CudaTensor;
  readonly lse: CudaTensor | null;
  readonly timestamps: boolean;
  /** Wait after each launch, so that a fault is known by its kernel. */
  readonly synchronous: boolean;
}

/** One call: borrows its workspace, launches its kernels in order, waits, gives everything back. */
export function executeCall(parts: ExecutionParts): Promise<CudaStatistics> {
  return parts.device.during(() => execute(parts));
}

async function execute(parts: ExecutionParts): Promise<CudaStatistics> {
  const { device, plan, call, expanded, o, lse } = parts;
  const held: Pooled<CudaAllocation>[] = [];
  const version = parts.parameters.acquire();
  let ended = false;
  try {
    const workspace = expanded.workspace.map(({ name, bytes }): AddressParts["workspace"][number] => {
      const pooled = device.borrow(bytes, `workspace ${name}`);
      held.push(pooled);
      return { name, allocation: pooled.buffer };
    });
    const addresses = collectAddresses({ call, o, lse, parameters: version.buffer, workspace });
    const footprint = measure(parts, version, held);
    const began = performance.now();
    const timer = parts.timestamps ? device.backend.startTimer() : null;
    try {
      const counted = await launchAll(parts, addresses);
      timer?.stop();
      await finish(parts, null);
      ended = true;
      const wallMs = performance.now() - began;
      const deviceMs = timer?.read() ?? null;
      const kernelCounters = [...counted].map(([kernel, list]) => ({ kernel, counters: addCounters(list) }));
      const counters =
        device.kind === "driver" ? null : addCounters(kernelCounters.map((each) => each.counters));
      return { ...footprint, wallMs, deviceMs, counters, kernelCounters };
    } finally {
      timer?.destroy();
    }
  } catch (error) {
    // Work may be under way that still uses the buffers; when even waiting fails, the context is past use.
    if (!ended) await device.backend.finish().catch(() => undefined);
    throw error;
  } finally {
    for (const pooled of held) device.giveBack(pooled);
    parts.parameters.release(version);
  }

  function measure(
    { plan: { schedule }, tuned }: ExecutionParts,
    { bytes }: ParameterVersion<CudaAllocation>,
    pooled: readonly Pooled<CudaAllocation>[],
  ): CallFootprint {
    const { layer: _, ...tensors } = call.inputs;
    const given = Object.values(tensors).filter((tensor) => tensor !== undefined);
    const compulsoryBytes = [...given, o].reduce((sum, tensor) => sum + tensorBytes(tensor), 0) + bytes;
    const workspaceBytes =
      pooled.reduce((sum, { size }) => sum + size, 0) + (lse === null ? 0 : tensorBytes(lse));
    const kernels = expanded.dispatches.length;
    return {
      schedule,
      tuned,
      kernels,
      peakBytes: compulsoryBytes + workspaceBytes,
      compulsoryBytes,
      workspaceBytes,
    };
  }

  async function launchAll(
    { kernels, synchronous }: ExecutionParts,
    addresses: ReadonlyMap<string, bigint>,
  ): Promise<Map<string, Counters[]>> {
    const values = callValues(plan, call.size, call.inputs, o);
    const filled = new Map<KernelPlan, KernelParameters>();
    const counted = new Map<string, Counters[]>();
    for (const dispatch of expanded.dispatches) {
      const { kernel, grid } = dispatch;
      const ready = kernels.get(kernel.name);
      if (ready === undefined) throw new RangeError(`"${kernel.name}" is not prepared`);
      let parameters = filled.get(kernel);
      if (parameters === undefined) {
        parameters = new KernelParameters(kernel, addresses);
        filled.set(kernel, parameters);
      }
      const counters = inKernel(kernel, () =>
        device.backend.launch(ready, {
          grid,
          threads: kernel.workgroupSize,
          sharedBytes: kernel.workgroupBytes,
          parameters: parameters.fill(values, dispatch),
        }),
      );
      if (counters !== null) counted.set(kernel.name, [...(counted.get(kernel.name) ?? []), counters]);
      if (synchronous) await finish(parts, kernel);
      else await device.backend.breathe();
      device.checkUsable();
    }
    return counted;
  }
}

/** Errors of a launch name the kernel and its line of the spec. */
function inKernel<T>(kernel: KernelPlan, launch: () => T): T {
  try {
    return launch();
  } catch (error) {
    throw located(error, place(kernel.name, kernel.source), kernel);
  }
}

/** Errors of kernels arrive while waiting; without `synchronous` any kernel of the call may be the cause. */
async function finish({ device, plan }: ExecutionParts, kernel: KernelPlan | null): Promise<void> {
  try {
    await device.backend.finish();
  } catch (error) {
    const [only, ...more] = plan.kernels;
    const suspect = kernel ?? (only !== undefined && more.length === 0 ? only : null);
    const where =
      suspect === null
        ? ` (in one of the kernels ${plan.kernels.map(({ name }) => `"${name}"`).join(", ")} of "${plan.pipeline.name}")`
        : place(suspect.name, suspect.source);
    throw located(error, where, suspect);
  }
}

function located(error: unknown, where: string, kernel: KernelPlan | null): unknown {
  if (!(error instanceof CudaError) || error.kernel !== null) return error;
  return error.at(where, kernel?.name ?? null, kernel?.source ?? null);
}
