import type { CompiledKernel } from "../translate/kernel.ts";
import type { GlobalMemory } from "./global-memory.ts";
import type { SharedMemory } from "./shared-memory.ts";
import type { Tally } from "./tally.ts";

/** A block (cooperative thread array) while it runs. */
export interface Cta {
  readonly kernel: CompiledKernel;
  readonly memory: GlobalMemory;
  readonly shared: SharedMemory;
  readonly tally: Tally;
  readonly parameters: DataView;
  /** Full checks: uninitialised reads, races, pending copies. */
  readonly checks: boolean;
  readonly truncate: boolean;
  /** `S` of the generated code: ctaid, ntid, nctaid (x, y, z each), bytes of dynamic shared memory. */
  readonly specials: Int32Array;
  ctaid: [number, number, number];
  /** Number of this block among all blocks that the device ever ran, and of the launch's first. */
  serial: number;
  firstSerial: number;
  /** Blocks that this block synchronised with through atomics. */
  acquired: Set<number>[];
}
