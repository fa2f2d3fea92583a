import type { KernelVariant } from "../contract/expand.ts";
import { type DeviceStorage, spanBytes } from "../contract/layout.ts";
import { libraryFaults } from "../contract/library-parts.ts";
import { attentionFields, stageFields, wordsOf } from "../contract/library-words.ts";
import { type Artifact, allPlans, type Plan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import type { TensorRules } from "../contract/tensor-faults.ts";
import type { Backend, CallOutcome, FaultDetails, LauncherFault } from "../launcher/backend.ts";
import { type CpuDevice, deviceIdentity } from "./device.ts";
import { CpuError, type CpuErrorCode } from "./errors.ts";
import { runCall } from "./execution.ts";
import type { CpuMemory } from "./library.ts";
import type { Cpu, CpuCall, CpuKernel } from "./target.ts";
import {
  allocateUninitialised,
  CPU_TENSORS,
  type CpuTensor,
  checkPlace,
  download,
  elementAddress,
  type OwnedCpuTensor,
  owned,
} from "./tensors.ts";

const CODES = {
  unfit: "MTA889",
  plan: "MTA890",
  // Calls prepare what they need: nothing else lacks a kernel.
  unprepared: "MTA890",
  storage: "MTA891",
  strides: "MTA892",
  // Kernels take every alignment.
  alignment: "MTA892",
  shape: "MTA896",
  data: "MTA897",
  grid: "MTA888",
  memory: "MTA888",
  values: "MTA898",
  destroyed: "MTA887",
} as const satisfies Record<LauncherFault, CpuErrorCode>;

/** What to do, unless the error itself knows better. */
const REMEDIES: Partial<Record<LauncherFault, string>> = {
  unfit: "compile the spec with --target cpu",
  destroyed: "make a new one with createCpuLauncher()",
};

/** A CpuDevice as launchers need it. */
export class CpuLauncherBackend implements Backend<CpuTensor, Cpu> {
  readonly target = "cpu";
  readonly targetName = "CPU";
  readonly tensors = CPU_TENSORS;
  readonly sizes = null;
  readonly #device: CpuDevice;

  constructor(device: CpuDevice) {
    this.#device = device;
  }

  get name(): string {
    return this.#device.description;
  }

  get identity(): string {
    return deviceIdentity(this.#device);
  }

  error(fault: LauncherFault, message: string, { kernel, remedy }: FaultDetails = {}): CpuError {
    const what = remedy ?? REMEDIES[fault];
    return new CpuError(CODES[fault], message, {
      ...(what === undefined ? {} : { remedy: what }),
      source: kernel?.source ?? null,
    });
  }

  checkUsable(): void {
    this.#device.checkUsable();
  }

  /** The library computes every plan whose knobs it can take. */
  shortfalls(plan: Plan): readonly string[] {
    return libraryFaults(plan);
  }

  checkPlacement(name: string, tensor: CpuTensor, _rules: TensorRules): void {
    checkPlace(this.#device, name, tensor);
  }

  /** Rows are written while others are still read. */
  checkApart({ tensors, outputs }: CpuCall): void {
    for (const [output, written] of outputs)
      for (const [name, tensor] of [...tensors, ...outputs]) {
        if (name === output) continue;
        const [a, b] = [elementAddress(written), elementAddress(tensor)];
        if (a + BigInt(spanBytes(written)) > b && b + BigInt(spanBytes(tensor)) > a)
          throw new CpuError("MTA895", `the output ${output} overlaps the tensor ${name} in memory`, {
            remedy: `give ${output} memory of its own`,
          });
      }
  }

  allocate(shape: readonly number[], storage: DeviceStorage, label: string): OwnedCpuTensor {
    return allocateUninitialised(this.#device, shape, storage, { label });
  }

  owned(tensor: CpuTensor): OwnedCpuTensor {
    return owned(tensor);
  }

  write(words: Float32Array<ArrayBuffer>): CpuMemory {
    return this.#copy(new Uint8Array(words.buffer), "parameters");
  }

  free(memory: CpuMemory): void {
    this.#device.free(memory);
  }

  borrow(bytes: number, label: string): Pooled<CpuMemory> {
    return this.#device.pool.acquire(bytes, 0, label);
  }

  giveBack(borrowed: Pooled<CpuMemory>): void {
    this.#device.pool.release(borrowed);
  }

  read(tensor: CpuTensor): Promise<Float32Array | Int32Array> {
    return download(this.#device, tensor);
  }

  async load({ kernel }: KernelVariant, artifact: Artifact): Promise<CpuKernel> {
    const plan = allPlans(artifact).find(({ kernels }) => kernels.includes(kernel));
    if (plan === undefined)
      throw new CpuError("MTA890", "the plan is none of the artifact's", {
        remedy: "pass one of `artifact.plans`, or its index",
      });
    const { library } = this.#device;
    const pass = plan.direction === "backward" ? await library.backward() : library.forward;
    return {
      attention: this.#device.constant(wordsOf(attentionFields(plan)), "attention"),
      stages: this.#device.constant(wordsOf(stageFields(plan).flat()), "stages"),
      pass,
    };
  }

  async run(call: CpuCall): Promise<CallOutcome<CpuTensor, Cpu>> {
    return this.#device.during(async () => {
      if (call.compile !== null) await call.compile();
      return runCall(this, this.#device, call);
    });
  }

  #copy(from: Uint8Array<ArrayBuffer>, label: string): CpuMemory {
    const memory = this.#device.allocate(Math.max(from.length, 1), label);
    this.#device.library.bytesOf(memory).set(from);
    return memory;
  }
}
