import { place } from "../contract/messages.ts";
import type { KernelPlan, Plan } from "../contract/plan.ts";
import { addCounters, type Counters } from "../emulator/index.ts";
import type { Backend, CallOutcome } from "../launcher/backend.ts";
import { CallHoldings } from "../launcher/holdings.ts";
import type { CudaDevice } from "./device.ts";
import { CudaError } from "./errors.ts";
import { KernelParameters } from "./launch-parameters.ts";
import type { Cuda, CudaCall, CudaStatistics } from "./target.ts";
import { type CudaTensor, elementAddress } from "./tensors.ts";

type Holdings = CallHoldings<CudaTensor, Cuda>;

/** How the kernels of a call are launched. */
export interface LaunchOptions {
  readonly device: CudaDevice;
  readonly timestamps: boolean;
  /** Wait after each launch, so that a fault is known by its kernel. */
  readonly synchronous: boolean;
}

/** One call: borrows its workspace, launches its kernels in order, waits, gives everything back. */
export async function runCall(
  backend: Backend<CudaTensor, Cuda>,
  call: CudaCall,
  options: LaunchOptions,
): Promise<CallOutcome<CudaTensor, Cuda>> {
  const holdings: Holdings = new CallHoldings(backend, call);
  try {
    const statistics = await launchCall(call, holdings, options);
    holdings.end(true);
    return { results: holdings.results, statistics };
  } catch (error) {
    holdings.end(false);
    throw error;
  }
}

async function launchCall(
  call: CudaCall,
  holdings: Holdings,
  options: LaunchOptions,
): Promise<CudaStatistics> {
  const { backend, kind } = options.device;
  const places = holdings.places(elementAddress, (name, bytes) => {
    return holdings.hold(bytes, `workspace ${name}`).address;
  });
  places.set("parameters", holdings.parameters.buffer.address);
  const footprint = holdings.footprint();
  const began = performance.now();
  const timer = options.timestamps ? backend.startTimer() : null;
  let ended = false;
  try {
    const counted = await launchAll(call, holdings, places, options);
    timer?.stop();
    await finish(options.device, call.plan, null);
    ended = true;
    const wallMs = performance.now() - began;
    const deviceMs = timer?.read() ?? null;
    const kernelCounters = [...counted].map(([kernel, list]) => ({ kernel, counters: addCounters(list) }));
    const counters = kind === "driver" ? null : addCounters(kernelCounters.map((each) => each.counters));
    return { ...footprint, wallMs, deviceMs, counters, kernelCounters };
  } catch (error) {
    // Work may be under way that still uses the memory; when even waiting fails, the context is past use.
    if (!ended) await backend.finish().catch(() => undefined);
    throw error;
  } finally {
    timer?.destroy();
  }
}

/** Gives what the emulator counted, by kernel. */
async function launchAll(
  { plan, expanded, kernels }: CudaCall,
  holdings: Holdings,
  places: ReadonlyMap<string, bigint>,
  { device, synchronous }: LaunchOptions,
): Promise<ReadonlyMap<string, Counters[]>> {
  const values = holdings.values();
  const filled = new Map<KernelPlan, KernelParameters>();
  const counted = new Map<string, Counters[]>();
  const loaded = kernels();
  for (const dispatch of expanded.dispatches) {
    const { kernel, grid } = dispatch;
    const ready = loaded.get(kernel);
    if (ready === undefined) throw new RangeError(`"${kernel.name}" is not prepared`);
    let parameters = filled.get(kernel);
    if (parameters === undefined) {
      parameters = new KernelParameters(kernel, places);
      filled.set(kernel, parameters);
    }
    const launch = {
      grid,
      threads: kernel.workgroupSize,
      sharedBytes: kernel.workgroupBytes,
      parameters: parameters.fill(values, dispatch),
    };
    let counters: Counters | null;
    try {
      counters = device.backend.launch(ready, launch);
    } catch (error) {
      throw located(error, place(kernel.name, kernel.source), kernel);
    }
    if (counters !== null) counted.set(kernel.name, [...(counted.get(kernel.name) ?? []), counters]);
    if (synchronous) await finish(device, plan, kernel);
    else await device.backend.breathe();
    device.checkUsable();
  }
  return counted;
}

/** Errors of kernels arrive while waiting; without `synchronous` any kernel of the call may be the cause. */
async function finish({ backend }: CudaDevice, plan: Plan, kernel: KernelPlan | null): Promise<void> {
  try {
    await backend.finish();
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

/** The error of a launch with the kernel and its line of the spec. */
function located(error: unknown, where: string, kernel: KernelPlan | null): unknown {
  if (!(error instanceof CudaError) || error.kernel !== null) return error;
  return error.at(where, kernel?.name ?? null, kernel?.source ?? null);
}
