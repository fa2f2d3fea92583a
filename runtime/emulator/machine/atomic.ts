import { f32Bits, f32Of, f64High, f64Low, f64Of, flush } from "../numeric/float.ts";
import { join64 } from "../numeric/integer.ts";
import { BF16, encodeBf16, encodeF16, F16 } from "../numeric/narrow.ts";
import { SHARED_WINDOW } from "../translate/emit-move.ts";
import {
  type Access,
  computeAddresses,
  countShared,
  locate,
  locateShared,
  sameWindow,
  windowOf,
  wrongSpace,
} from "./access.ts";
import { countGlobalWrite, OFFSETS, sectors } from "./banks.ts";
import { checkAtomicSource, synchroniseBlocks } from "./block-order.ts";
import { fault } from "./fault.ts";
import type { Warp } from "./warp.ts";

/** An atomic of one 32- or 64-bit word (or a pair of halves) per lane. */
export interface Atomic {
  readonly access: Access;
  /** Operation and type: `add.f32`. */
  readonly name: string;
  /** Rows of the old value (low word), of the operand, and for cas of the new value; -1 where there is none. */
  readonly d: number;
  readonly b: number;
  readonly c: number;
}

type Operation = (old: number, b: number, c: number) => number;

function halves(
  decode: Float32Array,
  encode: (x: number) => number,
  operation: (x: number, y: number) => number,
): Operation {
  return (old, b) => {
    const part = (shift: number) =>
      encode(operation(decode[(old >>> shift) & 0xffff] as number, decode[(b >>> shift) & 0xffff] as number));
    return part(0) | (part(16) << 16);
  };
}

const add = (x: number, y: number) => x + y;

/** 32-bit atomics by operation and type (PTX ISA 9.0, "Parallel Synchronization and Communication Instructions: atom"). */
const WORDS: Readonly<Record<string, Operation>> = {
  "add.u32": (old, b) => (old + b) | 0,
  "add.s32": (old, b) => (old + b) | 0,
  "add.f32": (old, b) => f32Bits(Math.fround(f32Of(old) + f32Of(b))),
  "add.f16x2": halves(F16, encodeF16, add),
  "add.bf16x2": halves(BF16, encodeBf16, add),
  "min.s32": (old, b) => Math.min(old, b),
  "max.s32": (old, b) => Math.max(old, b),
  "min.u32": (old, b) => Math.min(old >>> 0, b >>> 0) | 0,
  "max.u32": (old, b) => Math.max(old >>> 0, b >>> 0) | 0,
  "exch.b32": (_, b) => b,
  "and.b32": (old, b) => old & b,
  "or.b32": (old, b) => old | b,
  "xor.b32": (old, b) => old ^ b,
  "cas.b32": (old, b, c) => (old === b ? c : old),
  "inc.u32": (old, b) => (old >>> 0 >= b >>> 0 ? 0 : old + 1),
  "dec.u32": (old, b) => (old === 0 || old >>> 0 > b >>> 0 ? b : old - 1),
};

/** In global memory f32 sums flush subnormal operands and results to zero, in shared memory they do not (same section). */
const GLOBAL_WORDS: Readonly<Record<string, Operation>> = {
  ...WORDS,
  "add.f32": (old, b) => f32Bits(flush(Math.fround(flush(f32Of(old)) + flush(f32Of(b))))),
};

type WideOperation = (old: bigint, b: bigint, c: bigint) => bigint;

function doubleOf(value: bigint): number {
  return f64Of(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
}

const unsigned = (value: bigint) => BigInt.asUintN(64, value);

const PAIRS: Readonly<Record<string, WideOperation>> = {
  "add.u64": (old, b) => old + b,
  "add.f64": (old, b) => {
    const sum = doubleOf(old) + doubleOf(b);
    return join64(f64Low(sum), f64High(sum));
  },
  "exch.b64": (_, b) => b,
  "cas.b64": (old, b, c) => (old === b ? c : old),
  "and.b64": (old, b) => old & b,
  "or.b64": (old, b) => old | b,
  "xor.b64": (old, b) => old ^ b,
  "min.s64": (old, b) => (old < b ? old : b),
  "max.s64": (old, b) => (old > b ? old : b),
  "min.u64": (old, b) => (unsigned(old) < unsigned(b) ? old : b),
  "max.u64": (old, b) => (unsigned(old) > unsigned(b) ? old : b),
};

export function isAtomic(name: string): boolean {
  return name in WORDS || name in PAIRS;
}

/** The lanes of each allocation (or of shared memory) update in rising order: one of the orders that hardware may take. */
export function atomic(warp: Warp, mask: number, operation: Atomic): void {
  const { access } = operation;
  computeAddresses(warp, mask, access);
  if (access.space === "shared") {
    updateShared(warp, mask, operation);
    return;
  }
  for (let rest = mask; rest !== 0; ) {
    const part = sameWindow(rest);
    const window = windowOf(part);
    if (window !== SHARED_WINDOW) updateGlobal(warp, part, operation, window);
    else if (access.space === "global") throw wrongSpace(warp, access);
    else updateShared(warp, part, operation);
    rest &= ~part;
  }
}

function updateShared(warp: Warp, mask: number, operation: Atomic): void {
  const { shared, checks } = warp.cta;
  const { total, id, high } = operation.access;
  locateShared(warp, mask, total, id, high >= 0);
  countShared(warp, mask, total);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    if (checks) shared.checkAtomic(warp, lane, OFFSETS[lane] as number, total, id);
    update(warp, lane, shared.words, WORDS, operation);
  }
}

function updateGlobal(warp: Warp, mask: number, operation: Atomic, window: number): void {
  const { tally, checks } = warp.cta;
  const { total, id } = operation.access;
  const block = locate(warp, mask, window, total, id);
  tally.globalSectorsRead += sectors(mask);
  countGlobalWrite(tally, mask, total);
  if (block.constant) throw fault("MTA852", warp, id, -1, `"${block.label}" is constant and is written,`);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    if (checks) checkAtomicSource(warp, lane, block, total, id);
    update(warp, lane, block.words, GLOBAL_WORDS, operation);
  }
  if (checks) synchroniseBlocks(warp, mask, block);
}

function update(
  warp: Warp,
  lane: number,
  words: Int32Array,
  operations: Readonly<Record<string, Operation>>,
  { name, d, b, c }: Atomic,
): void {
  const { I } = warp;
  const word = operations[name];
  const pair = PAIRS[name];
  const at = (OFFSETS[lane] as number) >> 2;
  const register = (row: number) => (row < 0 ? 0 : (I[row * 32 + lane] as number));
  const old = words[at] as number;
  if (word !== undefined) {
    const value = word(old, register(b), register(c));
    if (d >= 0) I[d * 32 + lane] = old;
    words[at] = value;
    return;
  }
  const high = words[at + 1] as number;
  const wide = (row: number) => (row < 0 ? 0n : join64(register(row), register(row + 1)));
  const value = pair?.(join64(old, high), wide(b), wide(c)) ?? 0n;
  if (d >= 0) {
    I[d * 32 + lane] = old;
    I[(d + 1) * 32 + lane] = high;
  }
  words[at] = Number(BigInt.asIntN(32, value));
  words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}
