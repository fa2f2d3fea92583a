import { type CallFootprint, type CallStatistics, callValues } from "../contract/call.ts";
import type { ExpandedPlan } from "../contract/expand.ts";
import { tensorBytes } from "../contract/layout.ts";
import type { ParameterStore, ParameterVersion } from "../contract/parameters.ts";
import type { KernelPlan, Plan } from "../contract/plan.ts";
import type { BufferPool } from "../contract/pool.ts";
import { elementCount } from "../contract/tensor.ts";
import { bindKernel, checkSeparate, collectResources, type Resources } from "./bindings.ts";
import type { Call } from "./call.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { PARAMETER_USAGE } from "./parameter-memory.ts";
import type { CompiledKernel } from "./pipelines.ts";
import { type PooledBuffer, poolOf } from "./pool.ts";
import { InputSnapshot, SNAPSHOT_USAGE } from "./snapshot.ts";
import type { DeviceTensor, OwnedTensor } from "./tensors.ts";
import { launchBlocks, slotBytes } from "./uniforms.ts";

/** What a call gives; tensors stay on the device. */
export interface ForwardResult {
  /** [B, H, Lq, Dv]; the caller's to destroy (`o.destroy()`). */
  readonly o: OwnedTensor;
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: OwnedTensor | null;
  readonly statistics: CallStatistics;
}

export interface ExecutionParts {
  readonly device: GPUDevice;
  readonly plan: Plan;
  /** Whether it won on this device, at shapes near the call. */
  readonly tuned: boolean;
  readonly call: Call;
  readonly expanded: ExpandedPlan;
  readonly parameters: ParameterStore<GPUBuffer>;
  readonly o: DeviceTensor;
  readonly lse: DeviceTensor | null;
  /** Which of these two were allocated for the call. */
  readonly made: readonly DeviceTensor[];
  /** Whether the inputs are copied, since some commands are submitted after the caller has got control back. */
  readonly copiesInputs: boolean;
}

/**
 * One call with everything that it holds on the device: made inside error scopes when it is called, bound to its kernels once
 * they are compiled, recorded into one command encoder or several, released once all of them are submitted.
 */
export class CallExecution {
  readonly footprint: CallFootprint;
  /** All tensors of the call, outputs included. */
  readonly tensors: readonly DeviceTensor[];
  readonly #parts: ExecutionParts;
  readonly #pool: BufferPool<GPUBuffer>;
  readonly #held: PooledBuffer[] = [];
  readonly #version: ParameterVersion<GPUBuffer>;
  readonly #parameters: PooledBuffer | null;
  readonly #slot: number;
  readonly #resources: Resources;
  readonly #snapshot: InputSnapshot | null;
  #compiled: ReadonlyMap<KernelPlan, CompiledKernel> = new Map();
  #groups: ReadonlyMap<KernelPlan, GPUBindGroup> = new Map();
  #released = false;

  constructor(parts: ExecutionParts) {
    const { device, expanded, call, o, lse } = parts;
    this.#parts = parts;
    this.tensors = [...this.#inputs(), o, ...(lse === null ? [] : [lse])];
    this.#pool = poolOf(device);
    this.#slot = slotBytes(device);
    this.#version = parts.parameters.acquire();
    try {
      // Integer inputs change from call to call: such a call gets a copy of the parameters with them behind.
      this.#parameters =
        call.integers.length === 0
          ? null
          : this.#hold(call.parameterWords * 4, PARAMETER_USAGE, "call parameters");
      const resources = this.#acquire();
      for (const { kernel } of expanded.variants) checkSeparate(kernel, resources);
      this.footprint = this.#measure(parts, expanded.dispatches.length);
      const snapshot = parts.copiesInputs
        ? new InputSnapshot(call.inputs, (bytes) => this.#hold(bytes, SNAPSHOT_USAGE, "input copy").buffer)
        : null;
      this.#snapshot = snapshot;
      this.#resources =
        snapshot === null
          ? resources
          : new Map([...resources].map(([name, binding]) => [name, snapshot.place(binding)]));
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** Binds the call's memory to its kernels; goes before the first dispatch. */
  bind(compiled: ReadonlyMap<KernelPlan, CompiledKernel>): void {
    const { device } = this.#parts;
    this.#compiled = compiled;
    this.#groups = new Map(
      [...compiled].map(([kernel, made]) => [kernel, bindKernel(device, kernel, made, this.#resources)]),
    );
  }

  /** Records the copies of inputs; goes before the first dispatch. */
  recordInputs(encoder: GPUCommandEncoder): void {
    const { call, plan } = this.#parts;
    this.#snapshot?.record(encoder);
    if (this.#parameters === null) return;
    const { buffer } = this.#parameters;
    if (plan.parameterWords > 0)
      encoder.copyBufferToBuffer(this.#version.buffer, 0, buffer, 0, plan.parameterWords * 4);
    for (const { tensor, at } of call.integers) {
      encoder.copyBufferToBuffer(
        tensor.buffer,
        tensor.offset,
        buffer,
        at * 4,
        elementCount(tensor.shape) * 4,
      );
    }
  }

  /** Records dispatches [begin, end) as one compute pass; dispatches of a pass see each other's writes in order. */
  recordDispatches(
    encoder: GPUCommandEncoder,
    begin: number,
    end: number,
    timestampWrites: GPUComputePassTimestampWrites | null,
  ): void {
    const { expanded, plan } = this.#parts;
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

  /** Gives the buffers back; to be called when all commands are submitted, or none ever will be. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const buffer of this.#held) this.#pool.release(buffer);
    this.#parts.parameters.release(this.#version);
  }

  /** As `release`, after an error: buffers that may be invalid do not go back to the pool, and there are no results. */
  discard(): void {
    if (this.#released) return;
    this.#released = true;
    for (const { buffer } of [...this.#held, ...this.#parts.made]) buffer.destroy();
    this.#parts.parameters.release(this.#version);
  }

  #hold(bytes: number, usage: number, label: string): PooledBuffer {
    const pooled = this.#pool.acquire(Math.max(bytes, 16), usage, label);
    this.#held.push(pooled);
    return pooled;
  }

  #acquire(): Resources {
    const { device, call, expanded, plan, o, lse } = this.#parts;
    const offsets = Object.fromEntries(call.integers.map(({ name, at }) => [name, at]));
    const values = callValues(plan, call.size, call.inputs, o, offsets);
    const blocks = launchBlocks(values, expanded.dispatches, this.#slot);
    const uniforms = this.#hold(
      blocks.byteLength,
      BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
      "launch blocks",
    );
    device.queue.writeBuffer(uniforms.buffer, 0, blocks);
    const workspace = expanded.workspace.map(({ name, bytes }) => {
      return { name, bytes, buffer: this.#hold(bytes, BUFFER_USAGE.STORAGE, "workspace").buffer };
    });
    const parameters: GPUBufferBinding =
      this.#parameters === null
        ? { buffer: this.#version.buffer }
        : { buffer: this.#parameters.buffer, size: Math.max(call.parameterWords * 4, 16) };
    return collectResources({ call, o, lse, parameters, launch: uniforms.buffer, workspace });
  }

  #inputs(): DeviceTensor[] {
    const { q, k, v, qHistory, documents, lengths, positions, bias } = this.#parts.call.inputs;
    return [q, k, v, qHistory, documents, lengths, positions, bias].filter((tensor) => tensor !== undefined);
  }

  #measure({ plan: { schedule }, tuned }: ExecutionParts, kernels: number): CallFootprint {
    const compulsoryBytes =
      [...this.#inputs(), this.#parts.o].reduce((sum, tensor) => sum + tensorBytes(tensor), 0) +
      this.#version.bytes;
    const held = this.#held.reduce((sum, { size }) => sum + size, 0);
    const workspaceBytes = held + (this.#parts.lse === null ? 0 : tensorBytes(this.#parts.lse));
    return {
      schedule,
      tuned,
      kernels,
      peakBytes: compulsoryBytes + workspaceBytes,
      compulsoryBytes,
      workspaceBytes,
    };
  }
}

export interface StartedCall {
  readonly execution: CallExecution;
  readonly o: OwnedTensor;
  readonly lse: OwnedTensor | null;
}
