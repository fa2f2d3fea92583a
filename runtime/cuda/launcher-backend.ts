import type { ExpandedPlan, KernelVariant } from "../contract/expand.ts";
import { bytesPerElement, type DeviceStorage, spanBytes } from "../contract/layout.ts";
import { formatBytes, place } from "../contract/messages.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import type { TensorRules } from "../contract/tensor-faults.ts";
import type {
  Backend,
  CallOutcome,
  Excess,
  FaultDetails,
  LauncherFault,
  RunOptions,
  SizeLimits,
} from "../launcher/backend.ts";
import { findGridExcess, sizeChecks } from "../launcher/limits.ts";
import { shortfalls } from "../launcher/plan-choice.ts";
import type { CudaAllocation, CudaKernel } from "./backend.ts";
import type { CudaDevice } from "./device.ts";
import { CudaError, type CudaErrorCode, hex } from "./errors.ts";
import { runCall } from "./execution.ts";
import { deviceIdentity } from "./identity.ts";
import type { Cuda, CudaCall } from "./target.ts";
import {
  allocateUninitialised,
  CUDA_TENSORS,
  type CudaTensor,
  download,
  elementAddress,
  type OwnedCudaTensor,
  owned,
} from "./tensors.ts";

const CODES = {
  unfit: "MTA810",
  plan: "MTA811",
  // Calls compile what they need: nothing else lacks a kernel.
  unprepared: "MTA816",
  storage: "MTA820",
  strides: "MTA821",
  alignment: "MTA822",
  shape: "MTA827",
  data: "MTA828",
  grid: "MTA830",
  memory: "MTA832",
  values: "MTA840",
  destroyed: "MTA841",
} as const satisfies Record<LauncherFault, CudaErrorCode>;

/** Widest access of the kernels (`ld.global.v4`, `cp.async` of 16 bytes). */
const WIDEST_ACCESS = 16;

/** A CudaDevice as launchers need it. */
export class CudaLauncherBackend implements Backend<CudaTensor, Cuda>, SizeLimits {
  readonly target = "cuda";
  readonly targetName = "CUDA";
  readonly tensors = CUDA_TENSORS;
  readonly sizes = sizeChecks(this);
  readonly #device: CudaDevice;
  readonly #synchronous: boolean;

  /** @param synchronous Wait after each launch, so that a fault is known by its kernel. */
  constructor(device: CudaDevice, synchronous: boolean) {
    this.#device = device;
    this.#synchronous = synchronous;
  }

  get name(): string {
    return this.#device.properties.name;
  }

  get identity(): string {
    return deviceIdentity(this.#device.properties);
  }

  error(fault: LauncherFault, message: string, { kernel, ...remedy }: FaultDetails = {}): CudaError {
    return new CudaError(CODES[fault], message, {
      ...remedy,
      kernel: kernel?.name ?? null,
      source: kernel?.source ?? null,
    });
  }

  checkUsable(): void {
    this.#device.checkUsable();
  }

  shortfalls({ requires }: Plan): readonly string[] {
    const { workgroupBytes, invocations, computeCapability = 0 } = requires;
    const { computeCapability: own, sharedBytesPerBlock, threadsPerBlock } = this.#device.properties;
    const lacks = shortfalls([
      [
        workgroupBytes,
        sharedBytesPerBlock,
        "of shared memory",
        "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
        formatBytes,
      ],
      [invocations, threadsPerBlock, "threads a block", "MAX_THREADS_PER_BLOCK"],
    ]);
    if (computeCapability <= own) return lacks;
    const needed = `needs compute capability ${capability(computeCapability)}`;
    return [`${needed}, the device has ${capability(own)}`, ...lacks];
  }

  findExcess(expanded: ExpandedPlan): Excess | null {
    const { grid, memoryBytes } = this.#device.properties;
    const bytes = expanded.workspace.reduce((sum, buffer) => sum + buffer.bytes, 0);
    if (bytes > memoryBytes) {
      const message =
        `the workspace needs ${formatBytes(bytes)}, ${formatBytes(bytes - memoryBytes)} more than the device's memory ` +
        `(${formatBytes(memoryBytes)})`;
      return { fault: "memory", message, kernel: null };
    }
    return findGridExcess(expanded, grid, {
      launch: "launch",
      units: "blocks",
      limits: ["MAX_GRID_DIM_X", "MAX_GRID_DIM_Y", "MAX_GRID_DIM_Z"],
    });
  }

  findOutputExcess(bytes: number): string | null {
    const { memoryBytes } = this.#device.properties;
    if (bytes <= memoryBytes) return null;
    return `${formatBytes(bytes)}; the device's memory has ${formatBytes(memoryBytes)}`;
  }

  checkPlacement(name: string, tensor: CudaTensor, rules: TensorRules): void {
    const { address, offset = 0, shape, strides, storage } = tensor;
    const alignment = Math.min(rules.alignment * bytesPerElement(storage), WIDEST_ACCESS);
    if (!Number.isSafeInteger(offset) || offset < 0 || elementAddress(tensor) % BigInt(alignment) !== 0n) {
      throw new CudaError(
        "MTA823",
        `the tensor ${name} starts at address ${hex(address)} + ${offset}; the kernels need a multiple of ${alignment}`,
        { remedy: `place it at a multiple of ${alignment} bytes, or copy it to memory of its own` },
      );
    }
    const found = this.#device.backend.locate(elementAddress(tensor));
    if (found === undefined) return;
    if (found === null) {
      throw new CudaError(
        "MTA825",
        `the tensor ${name} starts at address ${hex(elementAddress(tensor))}, which is not memory of this device`,
      );
    }
    const end = Number(elementAddress(tensor) - found.address) + spanBytes(tensor);
    if (end <= found.bytes) return;
    throw new CudaError(
      "MTA824",
      `the tensor ${name} (${storage} [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}) reaches ` +
        `to byte ${end}, ${end - found.bytes} past the end of its allocation (${found.bytes} bytes)`,
      { remedy: "check shape and strides" },
    );
  }

  /** Kernels read inputs through caches that see no writes of the same launch, so results may not lie among them. */
  checkApart({ tensors, outputs }: CudaCall): void {
    for (const [output, written] of outputs)
      for (const [name, tensor] of [...tensors, ...outputs]) {
        if (name === output) continue;
        const [a, b] = [elementAddress(written), elementAddress(tensor)];
        const apart = a + BigInt(spanBytes(written)) <= b || b + BigInt(spanBytes(tensor)) <= a;
        if (!apart)
          throw new CudaError("MTA826", `the output ${output} overlaps the tensor ${name} in memory`);
      }
  }

  allocate(shape: readonly number[], storage: DeviceStorage, label: string): OwnedCudaTensor {
    return allocateUninitialised(this.#device, shape, storage, { label });
  }

  owned(tensor: CudaTensor): OwnedCudaTensor {
    return owned(tensor);
  }

  write(words: Float32Array<ArrayBuffer>): CudaAllocation {
    const allocation = this.#device.allocate(words.byteLength, "mtac parameters");
    try {
      this.#device.backend.write(allocation.address, new Uint8Array(words.buffer));
    } catch (error) {
      this.free(allocation);
      throw error;
    }
    return allocation;
  }

  free({ address }: CudaAllocation): void {
    this.#device.freeIfOpen(address);
  }

  borrow(bytes: number, label: string): Pooled<CudaAllocation> {
    return this.#device.borrow(bytes, label);
  }

  giveBack(borrowed: Pooled<CudaAllocation>): void {
    this.#device.giveBack(borrowed);
  }

  read(tensor: CudaTensor): Promise<Float32Array | Int32Array> {
    return download(this.#device, tensor);
  }

  async load({ kernel }: KernelVariant, { name, sources, images = [] }: Artifact): Promise<CudaKernel> {
    const module = await this.#device.load({
      file: kernel.file,
      text: sources[kernel.file],
      images: images.filter(({ file }) => file === kernel.file),
      subject: `attention "${name}"`,
    });
    try {
      return module.kernel(kernel.entryPoint);
    } catch (error) {
      if (!(error instanceof CudaError)) throw error;
      throw error.at(place(kernel.name, kernel.source), kernel.name, kernel.source);
    }
  }

  async run(call: CudaCall, { timestamps }: RunOptions): Promise<CallOutcome<CudaTensor, Cuda>> {
    if (call.compile !== null) {
      await call.compile();
      // Compilation takes time, in which much can happen.
      this.checkUsable();
    }
    return this.#device.during(() =>
      runCall(this, call, { device: this.#device, timestamps, synchronous: this.#synchronous }),
    );
  }
}

/** `8.0` for 80. */
function capability(value: number): string {
  return `${Math.floor(value / 10)}.${value % 10}`;
}
