import type { Dispatch } from "../contract/expand.ts";
import { kernelArguments } from "../contract/kernel-arguments.ts";
import { type LaunchField, type LaunchValues, writeFields } from "../contract/launch.ts";
import type { KernelPlan } from "../contract/plan.ts";
import { placeOf } from "../launcher/holdings.ts";
import type { LaunchParameters } from "./backend.ts";

/** A kernel's parameters for one call; `fill` sets what differs from dispatch to dispatch. */
export class KernelParameters {
  readonly parameters: LaunchParameters;
  readonly #view: DataView;
  readonly #launchAt: number | null;
  readonly #fields: readonly LaunchField[];

  /** @throws RangeError when the plan binds a resource that it does not have: a defect of the planner. */
  constructor(kernel: KernelPlan, places: ReadonlyMap<string, bigint>) {
    const { list, bytes: size } = kernelArguments(kernel);
    const bytes = new Uint8Array(new ArrayBuffer(size));
    this.#view = new DataView(bytes.buffer);
    this.#launchAt = list.find(({ resource }) => resource === null)?.offset ?? null;
    this.#fields = kernel.launch;
    this.parameters = { bytes, parts: list };
    for (const { resource, offset } of list) {
      if (resource === null) continue;
      // What the call does not give is a null pointer.
      this.#view.setBigUint64(
        offset,
        placeOf(kernel, resource, places, () => 0n),
        true,
      );
    }
  }

  fill(call: LaunchValues, { launch }: Dispatch): LaunchParameters {
    if (this.#launchAt !== null) writeFields(this.#view, this.#launchAt, this.#fields, call, launch);
    return this.parameters;
  }
}
