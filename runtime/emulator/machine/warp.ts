import type { ParsedKernel } from "../ptx/ir.ts";
import type { GlobalMemory } from "./global-memory.ts";
import { LaneOrder } from "./lane-order.ts";
import type { Tally } from "./tally.ts";

/** What a running block needs to know of its kernel. */
export interface KernelInfo {
  readonly name: string;
  readonly parsed: ParsedKernel;
  readonly files: ReadonlyMap<number, string>;
  /** Rows that hold a constant in every lane: immediates of warp-wide instructions. */
  readonly constants: readonly { readonly row: number; readonly value: number }[];
  readonly localBytes: number;
  /** That of the PTX text's target: 80 for sm_80. */
  readonly architecture: number;
}

/** Shared memory as instructions see it: the bytes, and the checks that go before each access. */
export interface SharedStore {
  readonly bytes: Uint8Array;
  readonly shorts: Uint16Array;
  readonly words: Int32Array;
  reset(): void;
  beginStore(): void;
  checkBounds(warp: Warp, lane: number, offset: number, bytes: number, id: number): void;
  checkRead(warp: Warp, lane: number, offset: number, bytes: number, id: number, reader?: number): void;
  checkWrite(warp: Warp, lane: number, offset: number, bytes: number, id: number, different: boolean): void;
  checkAtomic(warp: Warp, lane: number, offset: number, bytes: number, id: number): void;
  issueCopy(warp: Warp, lane: number, offset: number, bytes: number, id: number): void;
  completeCopy(warp: Warp, offset: number, bytes: number): void;
}

/** A block (cooperative thread array) while it runs. */
export interface Cta {
  readonly kernel: KernelInfo;
  readonly memory: GlobalMemory;
  readonly shared: SharedStore;
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

/** One warp: the register file of its 32 lanes and where they are. */
export class Warp {
  readonly cta: Cta;
  readonly index: number;
  /** Lanes that the block has, and those that have not exited. */
  readonly initial: number;
  live: number;
  /** Registers: rows of 32 lanes. f32 and b32 views share the storage. */
  readonly I: Int32Array;
  readonly F: Float32Array;
  /** Predicates: one lane mask each. */
  readonly P: Int32Array;
  /** Lanes grouped by the basic block they stand before, in rising order. */
  pcs: number[] = [];
  masks: number[] = [];
  /** For each group: lanes that a collective instruction of it waits for. */
  waited: number[] = [];
  /** That of the group which runs. */
  expected = 0;
  /** Instruction of the barrier where the warp is parked, or -1. */
  parkedAt = -1;
  parkedBarrier = -1;
  executed = 0;
  /** Vector clock: the epoch of each warp of the block known to lie before this warp's present. */
  readonly clock: Int32Array;
  /** What its lanes know of each other's writes to shared memory. */
  readonly order: LaneOrder;
  readonly local: Uint8Array;
  readonly localView: DataView;
  readonly localFlags: Uint8Array;
  readonly copies = new CopyQueue();

  constructor(cta: Cta, index: number, threads: number, warps: number, rows: number, predicates: number) {
    this.cta = cta;
    this.index = index;
    const lanes = Math.min(32, threads - index * 32);
    this.initial = lanes === 32 ? -1 : (1 << lanes) - 1;
    this.live = this.initial;
    const buffer = new ArrayBuffer(rows * 128);
    this.I = new Int32Array(buffer);
    this.F = new Float32Array(buffer);
    this.P = new Int32Array(predicates);
    this.clock = new Int32Array(warps);
    this.order = new LaneOrder(this.clock, index);
    const localBytes = cta.kernel.localBytes * 32;
    this.local = new Uint8Array(localBytes);
    this.localView = new DataView(this.local.buffer);
    this.localFlags = new Uint8Array(localBytes);
  }

  get runnable(): boolean {
    return this.parkedAt < 0 && this.live !== 0;
  }
}

/** cp.async copies of a warp that were issued and not yet waited for; groups are counted per lane. */
export class CopyQueue {
  readonly committed = new Int32Array(32);
  lane: number[] = [];
  group: number[] = [];
  destination: number[] = [];
  bytes: number[] = [];
  sourceSlot: number[] = [];
  sourceOffset: number[] = [];
  sourceBytes: number[] = [];
  instruction: number[] = [];

  reset(): void {
    this.committed.fill(0);
    this.truncate(0);
  }

  truncate(length: number): void {
    this.lane.length = length;
    this.group.length = length;
    this.destination.length = length;
    this.bytes.length = length;
    this.sourceSlot.length = length;
    this.sourceOffset.length = length;
    this.sourceBytes.length = length;
    this.instruction.length = length;
  }

  move(from: number, to: number): void {
    for (const list of this.lists) list[to] = list[from] ?? 0;
  }

  private get lists(): number[][] {
    return [
      this.lane,
      this.group,
      this.destination,
      this.bytes,
      this.sourceSlot,
      this.sourceOffset,
      this.sourceBytes,
      this.instruction,
    ];
  }
}
