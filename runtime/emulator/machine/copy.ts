import { SHARED_WINDOW } from "../translate/emit-move.ts";
import {
  type Access,
  computeAddresses,
  countShared,
  locate,
  sameWindow,
  sharedOffsets,
  windowOf,
  wrongSpace,
} from "./access.ts";
import { OFFSETS, sectors } from "./banks.ts";
import { checkGlobalRead } from "./block-order.ts";
import { fault } from "./fault.ts";
import type { Block } from "./global-memory.ts";
import type { Warp } from "./warp.ts";

/** `cp.async`: shared destination, global source, bytes, and the row of the source size (or -1: all of it). */
export interface AsyncCopy {
  readonly destination: Access;
  readonly source: Access;
  readonly bytes: number;
  readonly sizeRow: number;
  /** Predicate that says to ignore the source, or -1. */
  readonly ignore: number;
}

const TARGETS = new Int32Array(32);
/** Allocation of each lane's source. */
const SLOTS = new Int32Array(32);

/**
 * Issues the copies: the destination is poison until a wait, bytes beyond the source size become zeros (PTX ISA 9.0,
 * "Data Movement and Conversion Instructions: cp.async"). Lanes that read nothing may point anywhere.
 */
export function issueCopies(warp: Warp, mask: number, copy: AsyncCopy): void {
  const { cta, I, P, copies } = warp;
  const { bytes, sizeRow, ignore } = copy;
  const { id } = copy.destination;
  const { shared } = cta;
  sharedOffsets(warp, mask, copy.destination, bytes);
  countShared(warp, mask, bytes);
  TARGETS.set(OFFSETS);
  const ignored = ignore < 0 ? 0 : (P[ignore] as number);
  let reading = 0;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const size = (ignored >>> lane) & 1 ? 0 : sizeRow < 0 ? bytes : (I[sizeRow * 32 + lane] as number);
    if (size < 0 || size > bytes)
      throw fault("MTA852", warp, id, lane, `the source size ${size} is not in 0 … ${bytes}`);
    if (size > 0) reading |= 1 << lane;
  }
  if (reading !== 0) locateSources(warp, reading, copy);
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const target = TARGETS[lane] as number;
    const size =
      ((reading >>> lane) & 1) === 0 ? 0 : sizeRow < 0 ? bytes : (I[sizeRow * 32 + lane] as number);
    if (cta.checks) {
      shared.beginStore();
      shared.issueCopy(warp, lane, target, bytes, id);
      const block = size > 0 ? cta.memory.slots[SLOTS[lane] as number] : undefined;
      if (block !== undefined) checkGlobalRead(warp, lane, block, size, id, false);
    }
    shared.bytes.fill(0xff, target, target + bytes);
    const at = copies.lane.length;
    copies.lane[at] = lane;
    copies.group[at] = copies.committed[lane] as number;
    copies.destination[at] = target;
    copies.bytes[at] = bytes;
    copies.sourceSlot[at] = SLOTS[lane] as number;
    copies.sourceOffset[at] = OFFSETS[lane] as number;
    copies.sourceBytes[at] = size;
    copies.instruction[at] = id;
  }
}

/** Sources of the lanes, by allocation: their offsets go to `OFFSETS`, their sectors are counted. */
function locateSources(warp: Warp, reading: number, copy: AsyncCopy): void {
  const { sizeRow, bytes, source } = copy;
  computeAddresses(warp, reading, source);
  for (let rest = reading; rest !== 0; ) {
    const part = sameWindow(rest);
    const slot = windowOf(part);
    if (slot === SHARED_WINDOW) throw wrongSpace(warp, source);
    // A smaller source needs the alignment of the whole copy, but only its own bytes.
    const block = locate(warp, part, slot, sizeRow < 0 ? bytes : 1, source.id);
    if (sizeRow >= 0) checkSizes(warp, part, copy, block);
    warp.cta.tally.globalSectorsRead += sectors(part);
    for (let lane = 0; lane < 32; lane++) if ((part >>> lane) & 1) SLOTS[lane] = slot;
    rest &= ~part;
  }
}

/** The source must be aligned as the copy is, and in bounds for what is read of it. */
function checkSizes(warp: Warp, mask: number, { sizeRow, bytes, source }: AsyncCopy, block: Block): void {
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const offset = OFFSETS[lane] as number;
    const size = warp.I[sizeRow * 32 + lane] as number;
    if ((offset & (bytes - 1)) !== 0) {
      throw fault(
        "MTA853",
        warp,
        source.id,
        lane,
        `offset ${offset} of "${block.label}" is no multiple of ${bytes}`,
      );
    }
    if (offset + size > block.size) {
      throw fault(
        "MTA852",
        warp,
        source.id,
        lane,
        `${size} bytes at offset ${offset} of "${block.label}" (${block.size} bytes) are out of bounds`,
      );
    }
  }
}

export function commitCopies(warp: Warp, mask: number): void {
  const { committed } = warp.copies;
  for (let lane = 0; lane < 32; lane++)
    if ((mask >>> lane) & 1) committed[lane] = (committed[lane] as number) + 1;
}

/** Waits until at most `newest` groups of each lane are pending; -1 waits for everything, committed or not. */
export function waitCopies(warp: Warp, mask: number, newest: number): void {
  const { copies } = warp;
  let kept = 0;
  for (let index = 0; index < copies.lane.length; index++) {
    const lane = copies.lane[index] as number;
    const done = newest < 0 || (copies.group[index] as number) < (copies.committed[lane] as number) - newest;
    if (!done || ((mask >>> lane) & 1) === 0) {
      if (kept !== index) copies.move(index, kept);
      kept++;
      continue;
    }
    finishCopy(warp, index);
  }
  copies.truncate(kept);
}

function finishCopy(warp: Warp, index: number): void {
  const { copies, cta } = warp;
  const target = copies.destination[index] as number;
  const bytes = copies.bytes[index] as number;
  const size = copies.sourceBytes[index] as number;
  const from = copies.sourceOffset[index] as number;
  const source = cta.memory.slots[copies.sourceSlot[index] as number];
  if (bytes === 16 && size === 16 && source !== undefined) {
    const words = cta.shared.words;
    for (let word = 0; word < 4; word++)
      words[(target >> 2) + word] = source.words[(from >> 2) + word] as number;
  } else {
    cta.shared.bytes.fill(0, target, target + bytes);
    if (size > 0 && source !== undefined)
      cta.shared.bytes.set(source.bytes.subarray(from, from + size), target);
  }
  if (cta.checks) cta.shared.completeCopy(warp, target, bytes);
}
