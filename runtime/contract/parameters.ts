import { describeValue, isNumbers } from "./arguments.ts";
import { MtacError } from "./errors.ts";
import { typedArrayName } from "./layout.ts";
import type { Plan } from "./plan.ts";
import { elementCount, type HostTensor } from "./tensor.ts";
import { checkParameters } from "./validate.ts";

/** Parameters by name; a bare array is taken row-major in the parameter's shape. */
export type ParameterValues = ReadonlyMap<string, Float32Array | HostTensor>;

/** Where a target keeps parameters. */
export interface ParameterMemory<B> {
  /** Puts the words into a new buffer. */
  write(words: Float32Array<ArrayBuffer>): B;
  free(buffer: B): void;
  /** The target's error for a parameter with the wrong number of values. */
  error(fault: "values", message: string, details: { readonly remedy: string }): MtacError;
}

/** One version of the parameters on the device; calls that use it keep it alive when a newer one replaces it. */
export interface ParameterVersion<B> {
  readonly buffer: B;
  readonly bytes: number;
}

/**
 * The parameters of a launcher: host copies, from which it can be rebuilt on another device, and the buffer that
 * kernels read. New values go into a new buffer, so that a call in flight sees one version from start to end.
 */
export class ParameterStore<B> {
  readonly #memory: ParameterMemory<B>;
  readonly #plan: Plan;
  readonly #host = new Map<string, HostTensor>();
  readonly #users = new Map<ParameterVersion<B>, number>();
  #current: ParameterVersion<B>;
  #destroyed = false;

  /** @throws MtacError MTA611 … MTA613, MTA618, or the target's own: the values are not the pipeline's parameters. */
  constructor(memory: ParameterMemory<B>, plan: Plan, values: ParameterValues) {
    this.#memory = memory;
    this.#plan = plan;
    this.#keep(values);
    this.#current = this.#write();
  }

  /** Copies of all values, in the plan's order. */
  get values(): ReadonlyMap<string, HostTensor> {
    return this.#host;
  }

  /** Replaces some or all parameters, for calls made from now on. */
  update(values: ParameterValues): void {
    this.#keep(values);
    const old = this.#current;
    this.#current = this.#write();
    if (!this.#users.has(old)) this.#memory.free(old.buffer);
  }

  /** @param version One that somebody else still uses: the current one, if not given. */
  acquire(version: ParameterVersion<B> = this.#current): ParameterVersion<B> {
    this.#users.set(version, (this.#users.get(version) ?? 0) + 1);
    return version;
  }

  release(version: ParameterVersion<B>): void {
    const users = (this.#users.get(version) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(version, users);
      return;
    }
    this.#users.delete(version);
    if (version !== this.#current || this.#destroyed) this.#memory.free(version.buffer);
  }

  /** Frees the parameters; a version that calls still use goes when the last of them ends. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    if (!this.#users.has(this.#current)) this.#memory.free(this.#current.buffer);
  }

  /** Keeps all of the values, or none where one of them is wrong. */
  #keep(values: ParameterValues): void {
    checkValues(values);
    const shapes = new Map([...this.#host].map(([name, { shape }]) => [name, shape]));
    for (const [name, value] of values) shapes.set(name, shapeOf(this.#plan, name, value));
    checkParameters(this.#plan.pipeline, shapes);
    const copies = new Map<string, HostTensor>();
    for (const [name, value] of values) {
      const shape = shapeOf(this.#plan, name, value);
      const data = Float32Array.from("data" in value ? value.data : value);
      if (data.length !== elementCount(shape)) {
        throw this.#memory.error(
          "values",
          `the parameter ${name} [${shape.join(", ")}] needs ${elementCount(shape)} values, ${data.length} are given`,
          { remedy: "give one value for each element, row-major" },
        );
      }
      copies.set(name, { shape, data });
    }
    for (const [name, copy] of copies) this.#host.set(name, copy);
  }

  #write(): ParameterVersion<B> {
    const words = new Float32Array(Math.max(this.#plan.parameterWords, 4));
    for (const { name, offset } of this.#plan.parameters) words.set(this.#host.get(name)?.data ?? [], offset);
    return { buffer: this.#memory.write(words), bytes: words.byteLength };
  }
}

function checkValues(values: unknown): void {
  const fault = (what: string): MtacError =>
    new MtacError("MTA618", "input", what, {
      remedy: "give a Map from each parameter's name to a Float32Array or { shape, data }",
    });
  if (!(values instanceof Map)) throw fault(`the parameters are ${describeValue(values)}, not a Map`);
  for (const [name, value] of values) {
    if (typeof name !== "string") throw fault(`the name of a parameter is ${describeValue(name)}`);
    if (!isParameter(value)) throw fault(`the parameter ${name} is ${describeParameter(value)}`);
  }
}

/** Arrays that hold a parameter's values: not the bits of f16 and bf16, which would be taken for numbers. */
const VALUE_ARRAYS = ["Float32Array", "Float64Array", "Float16Array", "Int32Array"];

function isParameter(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const data = "data" in value ? value.data : value;
  if (!ArrayBuffer.isView(data) || !VALUE_ARRAYS.includes(typedArrayName(data))) return false;
  return data === value || ("shape" in value && isNumbers(value.shape));
}

function describeParameter(value: unknown): string {
  const data = typeof value === "object" && value !== null && "data" in value ? value.data : undefined;
  return ArrayBuffer.isView(data)
    ? `${describeValue(value)} with ${describeValue(data)}`
    : describeValue(value);
}

function shapeOf(plan: Plan, name: string, value: Float32Array | HostTensor): readonly number[] {
  if ("shape" in value) return value.shape;
  const parameter = plan.pipeline.parameters.find((candidate) => candidate.name === name);
  return parameter?.shape ?? [value.length];
}
