import { LOCAL_WINDOW, SHARED_WINDOW } from "../translate/emit-move.ts";
import { countGlobalWrite, leastWavefronts, OFFSETS, sectors, wavefronts } from "./banks.ts";
import { checkGlobalRead, checkGlobalWrite, synchroniseBlocks } from "./block-order.ts";
import { fault, hex } from "./fault.ts";
import { BASE, type Block } from "./global-memory.ts";
import type { Warp } from "./warp.ts";

/** A memory operand and the registers of one instruction, as the generated code passes it. */
export interface Access {
  /** Number of the instruction. */
  readonly id: number;
  /** Row of the address register (low word), or -1. */
  readonly low: number;
  /** Row of its high word, or -1 for a 32-bit address. */
  readonly high: number;
  /** Constant part: low word (may be negative with a register), and the high word of a constant address. */
  readonly offset: number;
  readonly window: number;
  readonly space: "global" | "shared" | "local" | "param" | "generic";
  readonly elementBytes: number;
  readonly count: number;
  readonly total: number;
  /** Sign-extend elements of 8 and 16 bits. */
  readonly signed: boolean;
  /** Row of every element (of 8, 16 or 32 bits) or 32-bit word. */
  readonly rows: readonly number[];
  /** Rows of 16-bit registers keep no sign. */
  readonly short: boolean;
  /** High rows to fill where a narrow element goes to 64-bit registers. */
  readonly extend: readonly number[];
  /** Volatile, relaxed, acquire, release: ordered like atomics between blocks. */
  readonly strong: boolean;
}

/** Low words of the lanes' addresses, unsigned, and high words. */
const LOW = new Float64Array(32);
const HIGH = new Int32Array(32);

export function computeAddresses(warp: Warp, mask: number, access: Access): void {
  const { I } = warp;
  const { low, high, offset, window } = access;
  if (low < 0) {
    LOW.fill(offset >>> 0);
    HIGH.fill(window);
    return;
  }
  const lowRow = low * 32;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    let address = ((I[lowRow + lane] as number) >>> 0) + offset;
    let upper = high < 0 ? 0 : (I[high * 32 + lane] as number);
    if (address < 0) {
      address += 4294967296;
      upper--;
    } else if (address >= 4294967296) {
      address -= 4294967296;
      upper++;
    }
    LOW[lane] = address;
    HIGH[lane] = upper;
  }
}

/**
 * Lanes of a mask whose addresses have the high word of its first lane. One instruction may address several allocations: a kernel
 * selects per lane between two tensors. Each allocation's lanes are served on their own.
 */
export function sameWindow(mask: number): number {
  const first = 31 - Math.clz32(mask & -mask);
  const high = HIGH[first];
  let same = 0;
  for (let lane = first; lane < 32; lane++) {
    if ((mask >>> lane) & 1 && HIGH[lane] === high) same |= 1 << lane;
  }
  return same;
}

/** High word of the addresses of lanes that `sameWindow` found. */
export function windowOf(part: number): number {
  return HIGH[31 - Math.clz32(part & -part)] as number;
}

/** Offsets of the lanes in an allocation, checked; the allocation. */
export function locate(warp: Warp, mask: number, slot: number, bytes: number, id: number): Block {
  const block = warp.cta.memory.slots[slot];
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const offset = (LOW[lane] as number) - BASE;
    if (block === undefined || block.freed || offset < 0 || offset + bytes > block.size) {
      throw outOfBounds(warp, lane, slot, block, offset, bytes, id);
    }
    if ((offset & (bytes - 1)) !== 0) {
      throw fault(
        "MTA853",
        warp,
        id,
        lane,
        `address ${hex(offset)} of "${block.label}" is no multiple of ${bytes}`,
      );
    }
    OFFSETS[lane] = offset;
  }
  return block as Block;
}

function outOfBounds(
  warp: Warp,
  lane: number,
  slot: number,
  block: Block | undefined,
  offset: number,
  bytes: number,
  id: number,
): Error {
  const address = `0x${((BigInt(slot >>> 0) << 32n) | BigInt(offset + BASE)).toString(16)}`;
  if (block === undefined) return fault("MTA852", warp, id, lane, `address ${address} is in no allocation`);
  const what = block.freed ? "freed" : `of ${block.size} bytes`;
  return fault(
    "MTA852",
    warp,
    id,
    lane,
    `${bytes} bytes at offset ${offset} of "${block.label}" (${what}) are out of bounds`,
  );
}

export function locateShared(warp: Warp, mask: number, bytes: number, id: number, high: boolean): void {
  const { shared } = warp.cta;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const upper = HIGH[lane] as number;
    if (high && upper !== 0 && upper !== SHARED_WINDOW) {
      throw fault(
        "MTA852",
        warp,
        id,
        lane,
        `the address ${hex(upper)}:${hex(LOW[lane] as number)} is not in shared memory`,
      );
    }
    shared.checkBounds(warp, lane, LOW[lane] as number, bytes, id);
    OFFSETS[lane] = LOW[lane] as number;
  }
}

/** Shared addresses held in registers of one row (`ldmatrix`, `cp.async`): bounds and alignment checked, left in `OFFSETS`. */
export function sharedOffsets(warp: Warp, mask: number, access: Access, bytes: number): void {
  computeAddresses(warp, mask, access);
  locateShared(warp, mask, bytes, access.id, access.high >= 0);
}

export function countShared(warp: Warp, mask: number, bytes: number): void {
  const { tally } = warp.cta;
  const taken = wavefronts(mask, bytes);
  tally.sharedWavefronts += taken;
  tally.sharedConflicts += taken - leastWavefronts();
}

function readElements(
  warp: Warp,
  mask: number,
  access: Access,
  bytes: Uint8Array,
  shorts: Uint16Array,
  words: Int32Array,
): void {
  const { I } = warp;
  const { elementBytes, rows, signed, short } = access;
  for (let index = 0; index < rows.length; index++) {
    const row = (rows[index] as number) * 32;
    for (let lane = 0; lane < 32; lane++) {
      if (((mask >>> lane) & 1) === 0) continue;
      const offset = OFFSETS[lane] as number;
      let value: number;
      if (elementBytes >= 4) value = words[(offset >> 2) + index] as number;
      else if (elementBytes === 2) {
        value = shorts[(offset >> 1) + index] as number;
        if (signed) value = (value << 16) >> 16;
      } else {
        value = bytes[offset + index] as number;
        if (signed) value = (value << 24) >> 24;
      }
      I[row + lane] = short ? value & 0xffff : value;
    }
  }
  for (let index = 0; index < access.extend.length; index++) {
    const [to, from] = [(access.extend[index] as number) * 32, (rows[index] as number) * 32];
    for (let lane = 0; lane < 32; lane++) {
      if ((mask >>> lane) & 1) I[to + lane] = signed ? (I[from + lane] as number) >> 31 : 0;
    }
  }
}

export function loadWindow(warp: Warp, mask: number, access: Access, window: number): void {
  const { cta } = warp;
  const { total, id } = access;
  if (window === SHARED_WINDOW) {
    const { shared } = cta;
    locateShared(warp, mask, total, id, access.high >= 0);
    countShared(warp, mask, total);
    if (cta.checks) {
      for (let lane = 0; lane < 32; lane++) {
        if ((mask >>> lane) & 1) shared.checkRead(warp, lane, OFFSETS[lane] as number, total, id);
      }
    }
    readElements(warp, mask, access, shared.bytes, shared.shorts, shared.words);
    return;
  }
  const block = locate(warp, mask, window, total, id);
  cta.tally.globalSectorsRead += sectors(mask);
  if (cta.checks) {
    for (let lane = 0; lane < 32; lane++) {
      if ((mask >>> lane) & 1) checkGlobalRead(warp, lane, block, total, id, access.strong);
    }
    if (access.strong) synchroniseBlocks(warp, mask, block);
  }
  readElements(warp, mask, access, block.bytes, block.shorts, block.words);
}

export function load(warp: Warp, mask: number, access: Access): void {
  computeAddresses(warp, mask, access);
  if (access.space === "shared") loadWindow(warp, mask, access, SHARED_WINDOW);
  else if (access.space === "local") localAccess(warp, mask, access, false);
  else if (access.space === "param") loadParameter(warp, mask, access);
  else {
    for (let rest = mask; rest !== 0; ) {
      const part = sameWindow(rest);
      const window = windowOf(part);
      if (window === LOCAL_WINDOW) localAccess(warp, part, access, false);
      else if (window === SHARED_WINDOW && access.space === "global") throw wrongSpace(warp, access);
      else loadWindow(warp, part, access, window);
      rest &= ~part;
    }
  }
}

export function wrongSpace(warp: Warp, access: Access): Error {
  return fault("MTA852", warp, access.id, -1, "a shared address is used as a global one,");
}

export function store(warp: Warp, mask: number, access: Access): void {
  computeAddresses(warp, mask, access);
  if (access.space === "shared") storeWindow(warp, mask, access, SHARED_WINDOW);
  else if (access.space === "local") localAccess(warp, mask, access, true);
  else {
    for (let rest = mask; rest !== 0; ) {
      const part = sameWindow(rest);
      const window = windowOf(part);
      if (window === LOCAL_WINDOW) localAccess(warp, part, access, true);
      else if (window === SHARED_WINDOW && access.space === "global") throw wrongSpace(warp, access);
      else storeWindow(warp, part, access, window);
      rest &= ~part;
    }
  }
}

function storeWindow(warp: Warp, mask: number, access: Access, window: number): void {
  const { cta, I } = warp;
  const { total, id, elementBytes, rows } = access;
  const inShared = window === SHARED_WINDOW;
  if (inShared) locateShared(warp, mask, total, id, access.high >= 0);
  const block = inShared ? null : locate(warp, mask, window, total, id);
  const { bytes, shorts, words } = block ?? cta.shared;
  if (inShared) {
    countShared(warp, mask, total);
    cta.shared.beginStore();
  } else countGlobalWrite(cta.tally, mask, total);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const offset = OFFSETS[lane] as number;
    let different = false;
    for (let index = 0; index < rows.length; index++) {
      const value = I[(rows[index] as number) * 32 + lane] as number;
      if (elementBytes >= 4) {
        const at = (offset >> 2) + index;
        if (words[at] !== value) different = true;
        words[at] = value;
      } else if (elementBytes === 2) {
        const at = (offset >> 1) + index;
        if (shorts[at] !== (value & 0xffff)) different = true;
        shorts[at] = value;
      } else {
        if (bytes[offset + index] !== (value & 0xff)) different = true;
        bytes[offset + index] = value;
      }
    }
    if (!cta.checks) continue;
    if (block === null) cta.shared.checkWrite(warp, lane, offset, total, id, different);
    else checkGlobalWrite(warp, lane, block, total, id, access.strong);
  }
  if (block !== null && access.strong && cta.checks) synchroniseBlocks(warp, mask, block);
}

function loadParameter(warp: Warp, mask: number, access: Access): void {
  const { parameters } = warp.cta;
  const bytes = new Uint8Array(parameters.buffer);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const offset = LOW[lane] as number;
    if (offset + access.total > parameters.byteLength) {
      throw fault("MTA852", warp, access.id, lane, `parameter offset ${offset} is out of bounds`);
    }
    OFFSETS[lane] = offset;
  }
  readElements(warp, mask, access, bytes, new Uint16Array(bytes.buffer), new Int32Array(bytes.buffer));
}

function localAccess(warp: Warp, mask: number, access: Access, write: boolean): void {
  const { cta, I, localView: view, localFlags: flags } = warp;
  const size = cta.kernel.localBytes;
  const { elementBytes, rows, total, id } = access;
  const step = Math.min(elementBytes, 4);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const address = LOW[lane] as number;
    if (address + total > size)
      throw fault("MTA852", warp, id, lane, `local address ${address} is outside the ${size} bytes`);
    if (address % total !== 0)
      throw fault("MTA853", warp, id, lane, `local address ${address} is no multiple of ${total}`);
    const start = lane * size + address;
    if (write) flags.fill(1, start, start + total);
    for (let index = 0; index < rows.length; index++) {
      const at = start + index * step;
      const row = (rows[index] as number) * 32 + lane;
      if (write) {
        if (step === 4) view.setInt32(at, I[row] as number, true);
        else if (step === 2) view.setInt16(at, I[row] as number, true);
        else view.setInt8(at, I[row] as number);
        continue;
      }
      if (cta.checks && flags[at] !== 1) {
        throw fault("MTA854", warp, id, lane, `local address ${address} is read and was never written,`);
      }
      let value =
        step === 4 ? view.getInt32(at, true) : step === 2 ? view.getUint16(at, true) : view.getUint8(at);
      if (access.signed && step < 4) value = (value << (32 - 8 * step)) >> (32 - 8 * step);
      I[row] = access.short ? value & 0xffff : value;
      const extended = access.extend[index];
      if (extended !== undefined) I[extended * 32 + lane] = access.signed ? value >> 31 : 0;
    }
  }
}
