import { OFFSETS } from "./banks.ts";
import { accessText, fault } from "./fault.ts";
import type { Block } from "./global-memory.ts";
import type { Warp } from "./warp.ts";

export function checkGlobalRead(
  warp: Warp,
  lane: number,
  block: Block,
  bytes: number,
  id: number,
  strong: boolean,
): void {
  const { serial, firstSerial } = warp.cta;
  const offset = OFFSETS[lane] as number;
  for (let byte = offset; byte < offset + bytes; byte++) {
    if (block.flags[byte] !== 1) {
      throw fault(
        "MTA854",
        warp,
        id,
        lane,
        `offset ${byte} of "${block.label}" is read and was never written,`,
      );
    }
  }
  if (block.constant || strong) return;
  for (let pair = offset >> 1; pair <= (offset + bytes - 1) >> 1; pair++) {
    const writer = block.writers[pair] as number;
    if (writer >= firstSerial && writer !== serial) {
      refuseOther(warp, lane, block, pair, id, "reads", "written", writer, block.writerIds[pair] as number);
    }
    if ((block.readers[pair] as number) < firstSerial) {
      block.readers[pair] = serial;
      block.readerIds[pair] = id;
    }
  }
}

export function checkGlobalWrite(
  warp: Warp,
  lane: number,
  block: Block,
  bytes: number,
  id: number,
  strong: boolean,
): void {
  const { serial, firstSerial } = warp.cta;
  const offset = OFFSETS[lane] as number;
  if (block.constant) throw fault("MTA852", warp, id, lane, `"${block.label}" is constant and is written,`);
  block.flags.fill(1, offset, offset + bytes);
  // Pairs of bytes: what single bytes do to a pair says nothing about its other byte.
  if (bytes < 2 || strong) return;
  for (let pair = offset >> 1; pair <= (offset + bytes - 1) >> 1; pair++) {
    const writer = block.writers[pair] as number;
    const reader = block.readers[pair] as number;
    if (writer >= firstSerial && writer !== serial) {
      refuseOther(warp, lane, block, pair, id, "writes", "written", writer, block.writerIds[pair] as number);
    }
    if (reader >= firstSerial && reader !== serial) {
      refuseOther(warp, lane, block, pair, id, "writes", "read", reader, block.readerIds[pair] as number);
    }
    block.writers[pair] = serial;
    block.writerIds[pair] = id;
  }
}

/** Another block touched the address in this launch: a race, unless an atomic ordered the two blocks. */
function refuseOther(
  warp: Warp,
  lane: number,
  block: Block,
  pair: number,
  id: number,
  does: string,
  done: string,
  other: number,
  otherId: number,
): void {
  if (warp.cta.acquired.some((released) => released.has(other))) return;
  throw fault(
    "MTA855",
    warp,
    id,
    lane,
    `this block ${does} offset ${pair * 2} of "${block.label}", ${done} by block number ${other - warp.cta.firstSerial} of the launch at ${accessText(warp, otherId)};`,
  );
}

/** An atomic orders this block after those that updated the address before, and releases what it did to later ones. */
export function synchroniseBlocks(warp: Warp, mask: number, block: Block): void {
  const { cta } = warp;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const offset = OFFSETS[lane] as number;
    let released = block.releases.get(offset);
    if (released === undefined) {
      released = new Set();
      block.releases.set(offset, released);
    }
    if (!cta.acquired.includes(released)) cta.acquired.push(released);
    released.add(cta.serial);
  }
}

/** An atomic reads what must have been written; it races with plain accesses of other blocks that nothing orders before it. */
export function checkAtomicSource(warp: Warp, lane: number, block: Block, bytes: number, id: number): void {
  const { serial, firstSerial } = warp.cta;
  const offset = OFFSETS[lane] as number;
  for (let byte = offset; byte < offset + bytes; byte++) {
    if (block.flags[byte] !== 1) {
      throw fault(
        "MTA854",
        warp,
        id,
        lane,
        `offset ${byte} of "${block.label}" is updated and was never written,`,
      );
    }
  }
  const writer = block.writers[offset >> 1] as number;
  if (writer >= firstSerial && writer !== serial) {
    refuseOther(
      warp,
      lane,
      block,
      offset >> 1,
      id,
      "updates",
      "written",
      writer,
      block.writerIds[offset >> 1] as number,
    );
  }
}
