import { type CallFootprint, callValues } from "../contract/call.ts";
import type { LaunchValues } from "../contract/launch.ts";
import { type Layout, tensorBytes } from "../contract/layout.ts";
import type { ParameterVersion } from "../contract/parameters.ts";
import type { KernelPlan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import { findTensor, LSE, VALUES } from "../contract/resources.ts";
import { D_PARAMETERS, type ResultTensor } from "../contract/results.ts";
import { elementCount } from "../contract/tensor.ts";
import type { Backend, BackendTypes, PreparedCall } from "./backend.ts";

/** What a call holds on its device from its start to its end: results, parameters, workspace. */
export class CallHoldings<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  /** What the call gives, by resource name. */
  readonly results: ReadonlyMap<string, Types["owned"]>;
  readonly parameters: ParameterVersion<Types["memory"]>;
  readonly #backend: Backend<Tensor, Types>;
  readonly #call: PreparedCall<Tensor, Types>;
  /** Results that were allocated for the call. */
  readonly #made: Types["owned"][] = [];
  readonly #held: Pooled<Types["memory"]>[] = [];
  #ended = false;

  /** @throws the target's error when there is no memory for the results. */
  constructor(backend: Backend<Tensor, Types>, call: PreparedCall<Tensor, Types>) {
    this.#backend = backend;
    this.#call = call;
    this.parameters = call.parameters.acquire(call.version ?? undefined);
    try {
      this.results = new Map(call.results.map((result) => [result.name, this.#result(result)]));
    } catch (error) {
      this.end(false);
      throw error;
    }
  }

  /** Memory until the call's end. */
  hold(bytes: number, label: string, usage?: number): Types["memory"] {
    const borrowed = this.#backend.borrow(bytes, label, usage);
    this.#held.push(borrowed);
    return borrowed.buffer;
  }

  /** What the call costs, with what it holds by now. */
  footprint(): CallFootprint {
    const { plan, tuned, tensors, expanded } = this.#call;
    let compulsoryBytes = this.parameters.bytes;
    let workspaceBytes = this.#held.reduce((sum, { size }) => sum + size, 0);
    for (const [name, tensor] of [...tensors, ...this.results]) {
      const bytes = tensorBytes(tensor);
      // Others can do without these.
      if (name === LSE.name || name === VALUES.name) workspaceBytes += bytes;
      else compulsoryBytes += bytes;
    }
    return {
      schedule: plan.schedule,
      tuned,
      kernels: expanded.dispatches.length,
      peakBytes: compulsoryBytes + workspaceBytes,
      compulsoryBytes,
      workspaceBytes,
    };
  }

  /** The call's part of the launch block. */
  values(): LaunchValues {
    const { plan, size, inputs, tensors } = this.#call;
    return callValues(plan, size, inputs, (name) => tensors.get(name) ?? this.results.get(name));
  }

  /**
   * Where everything lies that the call's kernels may bind, by resource name.
   *
   * @param workspace Where memory of the call's own lies, each made by `hold`: the plan's workspace, and results that kernels write though
   *   nobody wants them.
   */
  places<Place>(
    place: (tensor: Tensor) => Place,
    workspace: (name: string, bytes: number) => Place,
  ): Map<string, Place> {
    const { expanded, unwanted, tensors } = this.#call;
    const places = new Map<string, Place>();
    for (const { name, bytes } of expanded.workspace) places.set(name, workspace(name, bytes));
    for (const result of unwanted) places.set(result.name, workspace(result.name, tensorBytes(result)));
    // What has no elements has no place.
    for (const [name, tensor] of [...tensors, ...this.results])
      if (elementCount(tensor.shape) > 0) places.set(name, place(tensor));
    return places;
  }

  /**
   * Gives everything back, once; to be called when nothing that uses it can follow: all commands are submitted, or none will be.
   *
   * @param sound False after an error: what may be invalid is not lent again, and there are no results.
   */
  end(sound: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const borrowed of this.#held) this.#backend.giveBack(borrowed, sound);
    if (!sound) for (const tensor of this.#made) tensor.destroy();
    this.#call.parameters.release(this.parameters);
  }

  #result({ name, shape, storage }: ResultTensor): Types["owned"] {
    const given = this.#call.outputs.get(name);
    if (given !== undefined) return this.#backend.owned(given);
    const made = this.#backend.allocate(shape, storage, `mtac ${name}`);
    this.#made.push(made);
    return made;
  }
}

/**
 * Where a kernel's binding lies.
 *
 * @param missing Stands for what the call does not give.
 * @throws RangeError when the plan binds a resource that it does not have: a defect of the planner.
 */
export function placeOf<Place>(
  { name }: KernelPlan,
  resource: string,
  places: ReadonlyMap<string, Place>,
  missing: () => Place,
): Place {
  const place = places.get(resource);
  if (place !== undefined) return place;
  if (findTensor(resource) === null && resource !== D_PARAMETERS.name)
    throw new RangeError(`the kernel "${name}" binds an unknown resource "${resource}"`);
  return missing();
}
