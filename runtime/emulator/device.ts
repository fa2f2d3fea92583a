import type { Counters } from "./counters.ts";
import { EmulatorError } from "./errors.ts";
import { GlobalMemory } from "./machine/global-memory.ts";
import { Run, type WarpOrder } from "./machine/run.ts";
import { type EmulatedKernel, type EmulatedModule, type LoadedKernel, loadModule } from "./module.ts";
import { TranslatedModules } from "./translated-modules.ts";

export interface EmulatorOptions {
  /** Order of a block's warps: interleaved by basic blocks, or one running until it parks at a barrier. Default "forward". */
  readonly warpOrder?: WarpOrder;
  /** "full" (default): uninitialised reads, races, pending copies; "bounds": bounds and alignment only. */
  readonly checks?: "full" | "bounds";
  /**
   * "nearest" (default): the sum of an `mma` is exact and rounded once. "truncate": a model of the partial sums of the tensor cores
   * that the PTX text's target has: aligned to the largest exponent, truncated to 24 fraction bits, by 8 (sm_80 … sm_89) or 16.
   */
  readonly mmaRounding?: "nearest" | "truncate";
  /** Bytes of shared memory that a block may have. Default 232448 (227 KiB). */
  readonly sharedLimit?: number;
  /** Warp instructions that one launch may execute: the guard against endless loops. Default 10^10. */
  readonly instructionBudget?: number;
  /**
   * Instructions of loaded kernels that are kept ready to run, more than a kilobyte each. Of the modules that were not run for the longest time only the
   * text stays beyond it, and they are translated again when they are run. Default 500,000.
   */
  readonly keptInstructions?: number;
}

/** Memory of the emulated device. */
export interface Allocation {
  readonly address: bigint;
  readonly bytes: number;
  readonly label: string;
}

export interface EmulatedLaunch {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** Dynamic shared memory. */
  readonly sharedBytes: number;
  readonly parameters: Uint8Array;
}

const SHARED_LIMIT = 232448;
const KEPT_INSTRUCTIONS = 500_000;
const GRID_LIMITS = [2147483647, 65535, 65535];
const BLOCK_LIMITS = [1024, 1024, 64];

/** A CUDA device that executes PTX on the CPU, one block after the other, and reports the first fault by throwing. */
export class EmulatedDevice {
  private readonly memory = new GlobalMemory();
  private readonly options: EmulatorOptions;
  private readonly checks: boolean;
  private readonly modules: TranslatedModules;
  private serial = 1;

  constructor(options: EmulatorOptions = {}) {
    this.options = options;
    this.checks = options.checks !== "bounds";
    this.modules = new TranslatedModules(options.keptInstructions ?? KEPT_INSTRUCTIONS);
  }

  /** Fresh memory holds a NaN pattern; reading it before writing is a fault. Addresses of allocations are 4 GiB apart. */
  allocate(bytes: number, label = "allocation"): Allocation {
    return { address: this.memory.allocate(bytes, label, this.checks), bytes, label };
  }

  free(allocation: Allocation): void {
    this.memory.free(allocation.address);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.memory.write(address, bytes);
  }

  /** A copy of what is there, written or not. */
  read(address: bigint, bytes: number): Uint8Array {
    const { block, offset } = this.memory.hostRange(address, bytes);
    return block.bytes.slice(offset, offset + bytes);
  }

  fill(address: bigint, bytes: number, value: number): void {
    this.memory.fill(address, bytes, value);
  }

  /** Reads and translates a module; throws on the first instruction that is not implemented. */
  load(ptx: string, name = "module"): EmulatedModule {
    const { source, kernels } = loadModule(ptx, name, this.memory, this.checks);
    this.modules.add(source, kernels);
    return { kernels: new Map(kernels.map(({ kernel }) => [kernel.name, kernel])) };
  }

  launch(kernel: EmulatedKernel, launch: EmulatedLaunch): Counters {
    const loaded = this.modules.find(kernel);
    if (loaded === null) throw refuse(kernel, "it was loaded on another device");
    this.validate(loaded, launch);
    // Whole words: parameters are read through 32-bit views.
    const parameters = new Uint8Array((kernel.parameterBytes + 15) & ~15);
    parameters.set(launch.parameters.subarray(0, kernel.parameterBytes));
    const run = new Run(
      loaded.compiled,
      this.memory,
      { ...launch, parameters: new DataView(parameters.buffer) },
      {
        warpOrder: this.options.warpOrder ?? "forward",
        checks: this.checks,
        truncate: this.options.mmaRounding === "truncate",
        instructionBudget: this.options.instructionBudget ?? 1e10,
      },
      this.serial,
    );
    this.serial += launch.grid[0] * launch.grid[1] * launch.grid[2];
    run.all();
    return run.counters();
  }

  private validate({ kernel, compiled }: LoadedKernel, launch: EmulatedLaunch): void {
    const threads = launch.block[0] * launch.block[1] * launch.block[2];
    const inRange = (sizes: readonly number[], limits: readonly number[]) =>
      sizes.every((size, axis) => Number.isInteger(size) && size >= 1 && size <= (limits[axis] ?? 0));
    if (!inRange(launch.grid, GRID_LIMITS))
      throw refuse(kernel, `the grid [${launch.grid.join(", ")}] is impossible`);
    if (!inRange(launch.block, BLOCK_LIMITS) || threads > 1024) {
      throw refuse(kernel, `the block [${launch.block.join(", ")}] is impossible`);
    }
    if (kernel.maxThreads !== null && threads > kernel.maxThreads) {
      throw refuse(kernel, `${threads} threads a block exceed its .maxntid of ${kernel.maxThreads}`);
    }
    const required = compiled.parsed.requiredThreads;
    if (required?.some((count, axis) => count !== launch.block[axis])) {
      throw refuse(
        kernel,
        `the block [${launch.block.join(", ")}] is not the .reqntid [${required.join(", ")}]`,
      );
    }
    const limit = this.options.sharedLimit ?? SHARED_LIMIT;
    const shared = compiled.staticShared + launch.sharedBytes;
    if (!Number.isInteger(launch.sharedBytes) || launch.sharedBytes < 0 || shared > limit) {
      throw refuse(kernel, `${shared} bytes of shared memory a block exceed the limit of ${limit}`);
    }
    if (launch.parameters.length < kernel.parameterBytes) {
      throw refuse(
        kernel,
        `it takes ${kernel.parameterBytes} bytes of parameters, not ${launch.parameters.length}`,
      );
    }
  }
}

function refuse(kernel: EmulatedKernel, why: string): EmulatorError {
  return new EmulatorError("MTA858", `kernel ${kernel.name} cannot be launched: ${why}`, {
    kernel: kernel.name,
  });
}
