import { type Access, sharedOffsets } from "./access.ts";
import { leastWavefronts, OFFSETS, wavefronts } from "./banks.ts";
import { fault } from "./fault.ts";
import type { Warp } from "./warp.ts";

/** Lane masks as text for reports. */
function lanes(mask: number): string {
  return `0x${(mask >>> 0).toString(16).padStart(8, "0")}`;
}

/**
 * `mma`, `ldmatrix`, …: all 32 lanes of the warp must execute the instruction together. Like the other `.sync` instructions they
 * are taken to order the lanes' accesses to shared memory, which only `bar.warp.sync` and barriers promise: hardware waits for
 * all lanes all the same, and a report must be beyond doubt.
 */
export function requireWarp(warp: Warp, mask: number, id: number): void {
  requireWholeWarp(warp, mask, id);
  warp.order.synchronise(mask, warp.live);
}

function requireWholeWarp(warp: Warp, mask: number, id: number): void {
  if (mask === -1) return;
  throw fault(
    "MTA856",
    warp,
    id,
    -1,
    `only lanes ${lanes(mask)} of the warp reach this collective instruction,`,
  );
}

/**
 * The lanes that a member mask names must all be active, those aside that had exited before; each lane must name itself. Lanes that
 * exited while this instruction waited for them count as missing.
 */
export function requireMembers(warp: Warp, mask: number, row: number, id: number): number {
  const first = 31 - Math.clz32(mask & -mask);
  const members = warp.I[row * 32 + first] as number;
  let uniform = true;
  for (let lane = first; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const own = warp.I[row * 32 + lane] as number;
    if (own !== members) uniform = false;
    if (((own >>> lane) & 1) === 0) {
      throw fault("MTA856", warp, id, lane, `lane ${lane} is not in its own member mask ${lanes(own)},`);
    }
    if ((own & (warp.live | warp.expected) & ~mask) !== 0) {
      throw fault(
        "MTA856",
        warp,
        id,
        lane,
        `the member mask is ${lanes(own)}, but only lanes ${lanes(mask)} are here,`,
      );
    }
  }
  if (uniform) warp.order.synchronise(mask, warp.live);
  else synchroniseParts(warp, mask, row);
  return members;
}

/** Lanes with different member masks that happen to run together synchronise with their own members alone. */
function synchroniseParts(warp: Warp, mask: number, row: number): void {
  for (let rest = mask; rest !== 0; ) {
    const members = (warp.I[row * 32 + 31 - Math.clz32(rest & -rest)] as number) & mask;
    warp.order.synchronise(members, warp.live);
    rest &= ~members;
  }
}

/** Reader of what goes to several lanes. */
const ANY_LANE = 32;

const SOURCE = new Int32Array(32);

/** `shfl.sync` (PTX ISA 9.0, "Data Movement and Conversion Instructions: shfl.sync", its pseudocode). */
export function shuffle(
  warp: Warp,
  mask: number,
  id: number,
  mode: number,
  rows: readonly [d: number, p: number, a: number, b: number, c: number, members: number],
): void {
  const [d, p, a, b, c, members] = rows;
  const { I, P } = warp;
  requireMembers(warp, mask, members, id);
  for (let lane = 0; lane < 32; lane++) SOURCE[lane] = I[a * 32 + lane] as number;
  let found = 0;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const control = I[c * 32 + lane] as number;
    const value = (I[b * 32 + lane] as number) & 31;
    const clamp = control & 31;
    const segment = (control >> 8) & 31;
    const highest = (lane & segment) | (clamp & ~segment & 31);
    const lowest = lane & segment;
    let from: number;
    let inside: boolean;
    if (mode === 0) {
      from = lowest | (value & ~segment & 31);
      inside = from <= highest;
    } else if (mode === 1) {
      from = lane - value;
      inside = from >= highest;
    } else if (mode === 2) {
      from = lane + value;
      inside = from <= highest;
    } else {
      from = lane ^ value;
      inside = from <= highest;
    }
    if (!inside) from = lane;
    else found |= 1 << lane;
    if (((mask >>> from) & 1) === 0) {
      throw fault("MTA856", warp, id, lane, `lane ${lane} reads from lane ${from}, which takes no part,`);
    }
    if (d >= 0) I[d * 32 + lane] = SOURCE[from] as number;
  }
  if (p >= 0) P[p] = ((P[p] as number) & ~mask) | found;
}

/** `vote.sync`: modes all, any, uni, ballot; the source is a mask of lanes for which the predicate holds. */
export function vote(
  warp: Warp,
  mask: number,
  id: number,
  mode: string,
  d: number,
  source: number,
  members: number,
): void {
  requireMembers(warp, mask, members, id);
  const { I, P } = warp;
  const votes = source & mask;
  if (mode === "ballot") {
    for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) I[d * 32 + lane] = votes;
    return;
  }
  const result =
    mode === "all" ? votes === mask : mode === "any" ? votes !== 0 : votes === 0 || votes === mask;
  P[d] = ((P[d] as number) & ~mask) | (result ? mask : 0);
}

/** `match.sync`: lanes with an equal value. */
export function match(
  warp: Warp,
  mask: number,
  id: number,
  all: boolean,
  d: number,
  p: number,
  a: readonly number[],
  members: number,
): void {
  requireMembers(warp, mask, members, id);
  const { I, P } = warp;
  const groups = new Int32Array(32);
  const equal = (one: number, other: number) => a.every((row) => I[row * 32 + one] === I[row * 32 + other]);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    let group = 0;
    for (let other = 0; other < 32; other++)
      if ((mask >>> other) & 1 && equal(lane, other)) group |= 1 << other;
    groups[lane] = all ? (group === mask ? mask : 0) : group;
  }
  for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) I[d * 32 + lane] = groups[lane] as number;
  if (p >= 0)
    P[p] = ((P[p] as number) & ~mask) | ((groups[31 - Math.clz32(mask & -mask)] as number) !== 0 ? mask : 0);
}

const REDUCTIONS: Readonly<Record<string, (x: number, y: number) => number>> = {
  add: (x, y) => (x + y) | 0,
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  xor: (x, y) => x ^ y,
  "min.s32": (x, y) => Math.min(x, y),
  "max.s32": (x, y) => Math.max(x, y),
  "min.u32": (x, y) => (x >>> 0 < y >>> 0 ? x : y),
  "max.u32": (x, y) => (x >>> 0 > y >>> 0 ? x : y),
};

export function isReduction(name: string): boolean {
  return name in REDUCTIONS;
}

export function reduce(
  warp: Warp,
  mask: number,
  id: number,
  name: string,
  d: number,
  a: number,
  members: number,
): void {
  requireMembers(warp, mask, members, id);
  const operation = REDUCTIONS[name];
  const { I } = warp;
  let result: number | null = null;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const value = I[a * 32 + lane] as number;
    result = result === null || operation === undefined ? value : operation(result, value);
  }
  for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) I[d * 32 + lane] = result ?? 0;
}

/**
 * `ldmatrix.m8n8.b16`: matrix i takes the addresses of its 8 rows from lanes 8i … 8i+7; lane t gets row t/4, columns 2(t%4) and the
 * next, or with .trans column t/4 of those rows (PTX ISA 9.0, "Warp-level matrix load instruction: ldmatrix").
 */
export function loadMatrix(warp: Warp, mask: number, access: Access, transposed: boolean): void {
  requireWholeWarp(warp, mask, access.id);
  const { cta, I } = warp;
  const { rows, id } = access;
  const { shared, tally } = cta;
  const count = rows.length;
  const used = count === 4 ? -1 : (1 << (8 * count)) - 1;
  sharedOffsets(warp, used, access, 16);
  const taken = wavefronts(used, 16);
  tally.sharedWavefronts += taken;
  tally.sharedConflicts += taken - leastWavefronts();
  tally.ldmatrixConflicts += taken - leastWavefronts();
  if (cta.checks) {
    for (let lane = 0; lane < 8 * count; lane++)
      shared.checkRead(warp, lane, OFFSETS[lane] as number, 16, id, ANY_LANE);
    warp.order.synchronise(mask, warp.live);
  }
  const { shorts, words } = shared;
  for (let matrix = 0; matrix < count; matrix++) {
    const row = (rows[matrix] as number) * 32;
    const first = 8 * matrix;
    if (!transposed) {
      for (let lane = 0; lane < 32; lane++) {
        I[row + lane] = words[((OFFSETS[first + (lane >> 2)] as number) >> 2) + (lane & 3)] as number;
      }
      continue;
    }
    for (let lane = 0; lane < 32; lane++) {
      const column = lane >> 2;
      const source = first + 2 * (lane & 3);
      const low = shorts[((OFFSETS[source] as number) >> 1) + column] as number;
      const high = shorts[((OFFSETS[source + 1] as number) >> 1) + column] as number;
      I[row + lane] = low | (high << 16);
    }
  }
}

/** `stmatrix`: the inverse of `ldmatrix`. */
export function storeMatrix(warp: Warp, mask: number, access: Access, transposed: boolean): void {
  requireWholeWarp(warp, mask, access.id);
  const { cta, I } = warp;
  const { rows, id } = access;
  const { shared, tally } = cta;
  const count = rows.length;
  const used = count === 4 ? -1 : (1 << (8 * count)) - 1;
  sharedOffsets(warp, used, access, 16);
  const taken = wavefronts(used, 16);
  tally.sharedWavefronts += taken;
  tally.sharedConflicts += taken - leastWavefronts();
  shared.beginStore();
  for (let lane = 0; cta.checks && lane < 8 * count; lane++) {
    shared.checkWrite(warp, lane, OFFSETS[lane] as number, 16, id, true);
  }
  // The words of a row come from several lanes: who may read them without a synchronisation is not told apart.
  warp.order.synchronise(mask, warp.live);
  for (let matrix = 0; matrix < count; matrix++) {
    const row = (rows[matrix] as number) * 32;
    for (let lane = 0; lane < 32; lane++) {
      const value = I[row + lane] as number;
      for (let half = 0; half < 2; half++) {
        const [r, c] = transposed ? [2 * (lane & 3) + half, lane >> 2] : [lane >> 2, 2 * (lane & 3) + half];
        shared.shorts[((OFFSETS[8 * matrix + r] as number) >> 1) + c] = half === 0 ? value : value >>> 16;
      }
    }
  }
}

/** `movmatrix.trans`: transposes an 8×8 matrix of b16 across the lanes. */
export function transposeMatrix(warp: Warp, mask: number, id: number, d: number, a: number): void {
  requireWarp(warp, mask, id);
  const { I } = warp;
  const half = (row: number, column: number) =>
    ((I[a * 32 + row * 4 + (column >> 1)] as number) >>> (16 * (column & 1))) & 0xffff;
  const result = new Int32Array(32);
  for (let lane = 0; lane < 32; lane++) {
    const [row, column] = [lane >> 2, 2 * (lane & 3)];
    result[lane] = half(column, row) | (half(column + 1, row) << 16);
  }
  I.set(result, d * 32);
}
