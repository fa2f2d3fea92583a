import type { Dispatch } from "../contract/expand.ts";
import { type LaunchField, type LaunchValues, launchBytes, writeFields } from "../contract/launch.ts";
import type { KernelPlan } from "../contract/plan.ts";
import { placeOf } from "../launcher/holdings.ts";
import type { LaunchParameters } from "./backend.ts";

const POINTER_BYTES = 8;

/** A kernel's parameters for one call; `fill` sets what differs from dispatch to dispatch. */
export class KernelParameters {
  readonly parameters: LaunchParameters;
  readonly #view: DataView;
  readonly #launchAt: number | null;
  readonly #fields: readonly LaunchField[];

  /** @throws RangeError when the plan binds a resource that it does not have: a defect of the planner. */
  constructor(kernel: KernelPlan, places: ReadonlyMap<string, bigint>) {
    const bindings = kernel.bindings.toSorted((a, b) => a.binding - b.binding);
    const parts: { offset: number; bytes: number }[] = [];
    let end = 0;
    let launchAt: number | null = null;
    for (const { access } of bindings) {
      const bytes = access === "uniform" ? launchBytes(kernel.launch) : POINTER_BYTES;
      // Parameters lie at multiples of their own alignment (PTX ISA, "Kernel Function Parameters").
      const align = access === "uniform" ? 4 : POINTER_BYTES;
      const offset = Math.ceil(end / align) * align;
      if (access === "uniform") launchAt = offset;
      parts.push({ offset, bytes });
      end = offset + bytes;
    }
    const bytes = new Uint8Array(new ArrayBuffer(Math.max(end, POINTER_BYTES)));
    this.#view = new DataView(bytes.buffer);
    this.#launchAt = launchAt;
    this.#fields = kernel.launch;
    this.parameters = { bytes, parts };
    bindings.forEach(({ access, resource }, index) => {
      if (access === "uniform") return;
      // What the call does not give is a null pointer.
      const address = placeOf(kernel, resource, places, () => 0n);
      this.#view.setBigUint64(parts[index]?.offset ?? 0, address, true);
    });
  }

  fill(call: LaunchValues, { launch }: Dispatch): LaunchParameters {
    if (this.#launchAt !== null) writeFields(this.#view, this.#launchAt, this.#fields, call, launch);
    return this.parameters;
  }
}
