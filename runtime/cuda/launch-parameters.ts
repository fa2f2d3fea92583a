import type { CallValues } from "../contract/call.ts";
import type { Dispatch } from "../contract/expand.ts";
import { CUDA_LAUNCH_BYTES, CUDA_LAUNCH_FIELDS, writeFields } from "../contract/launch.ts";
import type { KernelPlan } from "../contract/plan.ts";
import type { CudaAllocation, LaunchParameters } from "./backend.ts";
import type { CudaCall } from "./checks.ts";
import { type CudaTensor, elementAddress } from "./tensors.ts";

/** Addresses by resource name (see `BufferBinding`). */
export type Addresses = ReadonlyMap<string, bigint>;

export interface AddressParts {
  readonly call: CudaCall;
  readonly o: CudaTensor;
  readonly lse: CudaTensor | null;
  readonly parameters: CudaAllocation;
  readonly workspace: readonly { readonly name: string; readonly allocation: CudaAllocation }[];
}

const POINTER_BYTES = 8;

/** Resources that a plan may bind though the call does not give them: null pointers. */
const OPTIONAL = new Set(["q_history", "documents", "lengths", "positions", "bias", "lse"]);

export function collectAddresses({ call, o, lse, parameters, workspace }: AddressParts): Addresses {
  const { q, k, v, qHistory, documents, lengths, positions, bias } = call.inputs;
  const addresses = new Map<string, bigint>();
  for (const { name, allocation } of workspace) addresses.set(name, allocation.address);
  addresses.set("parameters", parameters.address);
  const history = call.size.R > 0 ? qHistory : undefined;
  const tensors = { q, k, v, q_history: history, documents, lengths, positions, bias, o, lse };
  for (const [name, tensor] of Object.entries(tensors))
    if (tensor !== undefined && tensor !== null) addresses.set(name, elementAddress(tensor));
  return addresses;
}

/** A kernel's parameters for one call; `fill` sets what differs from dispatch to dispatch. */
export class KernelParameters {
  readonly parameters: LaunchParameters;
  readonly #view: DataView;
  readonly #launchAt: number | null;

  /** @throws RangeError when the plan binds a resource that it does not have: a defect of the planner. */
  constructor(kernel: KernelPlan, addresses: Addresses) {
    const bindings = kernel.bindings.toSorted((a, b) => a.binding - b.binding);
    const parts: { offset: number; bytes: number }[] = [];
    let end = 0;
    let launchAt: number | null = null;
    for (const { access } of bindings) {
      const bytes = access === "uniform" ? CUDA_LAUNCH_BYTES : POINTER_BYTES;
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
    this.parameters = { bytes, parts };
    bindings.forEach(({ access, resource }, index) => {
      if (access === "uniform") return;
      const address = addresses.get(resource);
      if (address === undefined && !OPTIONAL.has(resource))
        throw new RangeError(`the kernel "${kernel.name}" binds an unknown resource "${resource}"`);
      this.#view.setBigUint64(parts[index]?.offset ?? 0, address ?? 0n, true);
    });
  }

  fill(call: CallValues, { launch }: Dispatch): LaunchParameters {
    if (this.#launchAt !== null)
      writeFields(this.#view, this.#launchAt, CUDA_LAUNCH_FIELDS, { ...call, ...launch });
    return this.parameters;
  }
}
