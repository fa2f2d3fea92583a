import type { CallFootprint } from "../contract/call.ts";
import type { KernelPlan } from "../contract/plan.ts";
import { elementCount } from "../contract/tensor.ts";
import { CallHoldings } from "../launcher/holdings.ts";
import { bindKernel } from "./bindings.ts";
import { BUFFER_USAGE, PARAMETER_USAGE, roundUp } from "./constants.ts";
import type { CompiledKernel } from "./pipelines.ts";
import { boundBytes } from "./placement.ts";
import { InputSnapshot, SNAPSHOT_USAGE } from "./snapshot.ts";
import type { GpuBackend, WebGpu, WebGpuCall } from "./target.ts";
import type { DeviceTensor } from "./tensors.ts";
import { launchBlocks, slotBytes } from "./uniforms.ts";

/**
 * One call with everything that it holds on the device: made inside error scopes when it is called, bound to its kernels once
 * they are compiled, recorded into one command encoder or several, ended once all of them are submitted.
 */
export class CallExecution {
  readonly holdings: CallHoldings<DeviceTensor, WebGpu>;
  readonly footprint: CallFootprint;
  readonly #device: GPUDevice;
  readonly #call: WebGpuCall;
  /** Integer inputs, each with its place in the parameters' copy, in words. */
  readonly #integers: (readonly [tensor: DeviceTensor, at: number])[] = [];
  /** A copy of the parameters with the call's integer inputs behind, which change from call to call; null where there are none. */
  readonly #parameters: GPUBuffer | null;
  readonly #slot: number;
  readonly #places: ReadonlyMap<string, GPUBufferBinding>;
  readonly #snapshot: InputSnapshot | null;
  #compiled: ReadonlyMap<KernelPlan, CompiledKernel> = new Map();
  #groups: ReadonlyMap<KernelPlan, GPUBindGroup> = new Map();

  /** @param copiesInputs Whether inputs are copied, since some commands are submitted after the caller has got control back. */
  constructor(backend: GpuBackend, call: WebGpuCall, copiesInputs: boolean) {
    this.#device = backend.device;
    this.#call = call;
    this.#slot = slotBytes(backend.device, call.plan);
    const holdings = new CallHoldings(backend, call);
    this.holdings = holdings;
    try {
      const { places, words } = this.#place();
      const { buffer } = holdings.parameters;
      this.#parameters =
        this.#integers.length === 0 ? null : holdings.hold(words * 4, "call parameters", PARAMETER_USAGE);
      places.set("parameters", { buffer: this.#parameters ?? buffer, size: Math.max(words * 4, 16) });
      this.footprint = holdings.footprint();
      const snapshot = copiesInputs
        ? new InputSnapshot(call.tensors, (bytes) => holdings.hold(bytes, "input copy", SNAPSHOT_USAGE))
        : null;
      this.#snapshot = snapshot;
      this.#places =
        snapshot === null
          ? places
          : new Map([...places].map(([name, binding]) => [name, snapshot.place(binding)]));
    } catch (error) {
      holdings.end(false);
      throw error;
    }
  }

  /** Binds the call's memory to its kernels, which are compiled by then; goes before the first dispatch. */
  bind(): void {
    this.#compiled = this.#call.kernels();
    this.#groups = new Map(
      [...this.#compiled].map(([kernel, made]) => [
        kernel,
        bindKernel(this.#device, kernel, made, this.#places),
      ]),
    );
  }

  /** Records the copies of inputs; goes before the first dispatch. */
  recordInputs(encoder: GPUCommandEncoder): void {
    this.#snapshot?.record(encoder);
    if (this.#parameters === null) return;
    const { parameterWords } = this.#call.plan;
    if (parameterWords > 0)
      encoder.copyBufferToBuffer(this.holdings.parameters.buffer, 0, this.#parameters, 0, parameterWords * 4);
    for (const [tensor, at] of this.#integers) {
      const bytes = elementCount(tensor.shape) * 4;
      encoder.copyBufferToBuffer(tensor.buffer, tensor.offset, this.#parameters, at * 4, bytes);
    }
  }

  /** Records dispatches [begin, end) as one compute pass; dispatches of a pass see each other's writes in order. */
  recordDispatches(
    encoder: GPUCommandEncoder,
    begin: number,
    end: number,
    timestampWrites: GPUComputePassTimestampWrites | null,
  ): void {
    const { expanded, plan } = this.#call;
    const pass = encoder.beginComputePass({
      label: `mtac ${plan.pipeline.name}`,
      ...(timestampWrites === null ? {} : { timestampWrites }),
    });
    let current: KernelPlan | null = null;
    for (let index = begin; index < end; index++) {
      const dispatch = expanded.dispatches[index];
      if (dispatch === undefined) break;
      const { kernel, grid } = dispatch;
      const pipeline = this.#compiled.get(kernel)?.pipeline;
      const group = this.#groups.get(kernel);
      if (pipeline === undefined || group === undefined)
        throw new RangeError(`"${kernel.name}" is not prepared`);
      if (kernel !== current) pass.setPipeline(pipeline);
      current = kernel;
      const dynamic = kernel.bindings.some(({ access }) => access === "uniform");
      pass.setBindGroup(0, group, dynamic ? [index * this.#slot] : []);
      pass.dispatchWorkgroups(...grid);
    }
    pass.end();
  }

  /** Where everything lies but the parameters, with as many words as these need; the uniform blocks are written. */
  #place(): { readonly places: Map<string, GPUBufferBinding>; readonly words: number } {
    const { plan, tensors, expanded } = this.#call;
    const { holdings } = this;
    const places = holdings.places<GPUBufferBinding>(
      (tensor) => ({ buffer: tensor.buffer, offset: tensor.offset, size: boundBytes(tensor) }),
      (name, bytes) => ({
        buffer: holdings.hold(bytes, `workspace ${name}`),
        size: Math.max(roundUp(bytes, 4), 16),
      }),
    );
    const offsets: Record<string, number> = {};
    let words = plan.parameterWords;
    for (const [name, tensor] of tensors) {
      if (tensor.storage !== "i32") continue;
      this.#integers.push([tensor, words]);
      offsets[`${name}_at`] = words;
      words += elementCount(tensor.shape);
    }
    const values = { ...holdings.values(), ...offsets };
    const blocks = launchBlocks(values, expanded.dispatches, this.#slot);
    const usage = BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST;
    const buffer = holdings.hold(blocks.byteLength, "launch blocks", usage);
    this.#device.queue.writeBuffer(buffer, 0, blocks);
    places.set("launch", { buffer, size: this.#slot });
    return { places, words };
  }
}
