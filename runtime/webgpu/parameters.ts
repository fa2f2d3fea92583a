import type { Plan } from "../contract/plan.ts";
import { elementCount, type HostTensor } from "../contract/tensor.ts";
import { checkParameters } from "../contract/validate.ts";
import { BUFFER_USAGE } from "./constants.ts";
import { GpuError } from "./errors.ts";

/** Parameters by name; a bare array is taken row-major in the parameter's shape. */
export type ParameterValues = ReadonlyMap<string, Float32Array | HostTensor>;

export const PARAMETER_USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;

/** One version of the parameters on the device; calls that use it keep it alive when a newer one replaces it. */
export interface ParameterVersion {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
}

/**
 * The parameters of a launcher: host copies, from which it can be rebuilt on another device, and the buffer that
 * kernels read. New values go into a new buffer, so that a call in flight sees one version from start to end.
 */
export class ParameterStore {
  readonly #device: GPUDevice;
  readonly #plan: Plan;
  readonly #host = new Map<string, HostTensor>();
  readonly #users = new Map<ParameterVersion, number>();
  #current: ParameterVersion;

  /** @throws MtacError MTA611 … MTA613, MTA740: the values are not the pipeline's parameters. */
  constructor(device: GPUDevice, plan: Plan, values: ParameterValues) {
    this.#device = device;
    this.#plan = plan;
    this.#keep(values);
    checkParameters(plan.pipeline, new Map([...this.#host].map(([name, { shape }]) => [name, shape])));
    this.#current = this.#write();
  }

  /** Copies of all values, in the plan's order. */
  get values(): ReadonlyMap<string, HostTensor> {
    return this.#host;
  }

  /** Replaces some or all parameters, for calls made from now on. */
  update(values: ParameterValues): void {
    const shapes = new Map([...this.#host].map(([name, { shape }]) => [name, shape]));
    for (const [name, value] of values) shapes.set(name, shapeOf(this.#plan, name, value));
    checkParameters(this.#plan.pipeline, shapes);
    this.#keep(values);
    const old = this.#current;
    this.#current = this.#write();
    if (!this.#users.has(old)) old.buffer.destroy();
  }

  acquire(): ParameterVersion {
    this.#users.set(this.#current, (this.#users.get(this.#current) ?? 0) + 1);
    return this.#current;
  }

  release(version: ParameterVersion): void {
    const users = (this.#users.get(version) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(version, users);
      return;
    }
    this.#users.delete(version);
    if (version !== this.#current) version.buffer.destroy();
  }

  destroy(): void {
    this.#current.buffer.destroy();
  }

  #keep(values: ParameterValues): void {
    for (const [name, value] of values) {
      const shape = shapeOf(this.#plan, name, value);
      const data = Float32Array.from("data" in value ? value.data : value);
      if (data.length !== elementCount(shape)) {
        throw new GpuError(
          "MTA740",
          `the parameter ${name} [${shape.join(", ")}] needs ${elementCount(shape)} values, ${data.length} are given`,
          { remedy: "give one value for each element, row-major" },
        );
      }
      this.#host.set(name, { shape, data });
    }
  }

  #write(): ParameterVersion {
    const words = new Float32Array(Math.max(this.#plan.parameterWords, 4));
    for (const { name, offset } of this.#plan.parameters) words.set(this.#host.get(name)?.data ?? [], offset);
    const descriptor = { label: "mtac parameters", size: words.byteLength, usage: PARAMETER_USAGE };
    const buffer = this.#device.createBuffer(descriptor);
    this.#device.queue.writeBuffer(buffer, 0, words);
    return { buffer, bytes: words.byteLength };
  }
}

function shapeOf(plan: Plan, name: string, value: Float32Array | HostTensor): readonly number[] {
  if ("shape" in value) return value.shape;
  const parameter = plan.pipeline.parameters.find((candidate) => candidate.name === name);
  return parameter?.shape ?? [value.length];
}
