import type { CallFootprint } from "../contract/call.ts";
import { type Layout, tensorBytes } from "../contract/layout.ts";
import type { ParameterVersion } from "../contract/parameters.ts";
import type { KernelPlan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import { findTensor, LSE, O, type OutputResource, shapeOf, tensorExists } from "../contract/resources.ts";
import type { Backend, BackendTypes, PreparedCall } from "./backend.ts";

/** What a call holds on its device from its start to its end: results, parameters, workspace. */
export class CallHoldings<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  readonly o: Types["owned"];
  readonly lse: Types["owned"] | null;
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
    this.parameters = call.parameters.acquire();
    try {
      this.o = this.#result(O);
      this.lse = tensorExists(call.plan.pipeline, LSE) ? this.#result(LSE) : null;
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
    const given = [...tensors.values(), this.o].reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
    const compulsoryBytes = given + this.parameters.bytes;
    const held = this.#held.reduce((sum, { size }) => sum + size, 0);
    const workspaceBytes = held + (this.lse === null ? 0 : tensorBytes(this.lse));
    return {
      schedule: plan.schedule,
      tuned,
      kernels: expanded.dispatches.length,
      peakBytes: compulsoryBytes + workspaceBytes,
      compulsoryBytes,
      workspaceBytes,
    };
  }

  /**
   * Where everything lies that the call's kernels may bind, by resource name.
   *
   * @param workspace Where the plan's workspace buffers lie, each made by `hold`.
   */
  places<Place>(
    place: (tensor: Tensor) => Place,
    workspace: (name: string, bytes: number) => Place,
  ): Map<string, Place> {
    const places = new Map<string, Place>();
    for (const { name, bytes } of this.#call.expanded.workspace) places.set(name, workspace(name, bytes));
    for (const [name, tensor] of this.#call.tensors) places.set(name, place(tensor));
    places.set("o", place(this.o));
    if (this.lse !== null) places.set("lse", place(this.lse));
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

  #result({ name, axes, element }: OutputResource): Types["owned"] {
    const { outputs, size, plan } = this.#call;
    const given = outputs.get(name);
    if (given !== undefined) return this.#backend.owned(given);
    const { pipeline } = plan;
    const storage = element === "storage" ? pipeline.storage : element;
    const made = this.#backend.allocate(shapeOf(pipeline, axes, size), storage, `mtac ${name}`);
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
  if (findTensor(resource) === null)
    throw new RangeError(`the kernel "${name}" binds an unknown resource "${resource}"`);
  return missing();
}
