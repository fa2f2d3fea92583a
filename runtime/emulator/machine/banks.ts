import type { Tally } from "./tally.ts";

/** Byte offsets of the lanes' accesses: filled by the memory instructions, read here. */
export const OFFSETS = new Int32Array(32);

const counts = new Uint8Array(32);
const words = new Int32Array(32 * 32);

/** The least number of wavefronts that the last `wavefronts` call could have taken: its phases with an active lane. */
let least = 0;

export function leastWavefronts(): number {
  return least;
}

/**
 * Wavefronts of a shared-memory access: 32 banks of 4 bytes. A warp's 4-byte access is one phase, an 8-byte one two (half-warps), a
 * 16-byte one four (quarter-warps); within a phase each bank serves one word a wavefront, to every lane that asks for that word.
 * Source: CUDA C++ Programming Guide 13.0, section "Shared Memory" of the compute capabilities; the phases of wide accesses are
 * NVIDIA's description in its GTC talks on shared memory.
 */
export function wavefronts(mask: number, bytes: number): number {
  const lanes = bytes <= 4 ? 32 : bytes === 8 ? 16 : 8;
  const perLane = bytes <= 4 ? 1 : bytes >> 2;
  let total = 0;
  least = 0;
  for (let start = 0; start < 32; start += lanes) {
    if (((mask >>> start) & (lanes === 32 ? -1 : (1 << lanes) - 1)) === 0) continue;
    counts.fill(0);
    let most = 1;
    for (let lane = start; lane < start + lanes; lane++) {
      if (((mask >>> lane) & 1) === 0) continue;
      const first = (OFFSETS[lane] as number) >>> 2;
      for (let word = first; word < first + perLane; word++) {
        const bank = word & 31;
        const found = counts[bank] as number;
        let index = 0;
        while (index < found && words[bank * 32 + index] !== word) index++;
        if (index < found) continue;
        words[bank * 32 + found] = word;
        counts[bank] = found + 1;
        if (found + 1 > most) most = found + 1;
      }
    }
    total += most;
    least++;
  }
  return total;
}

const seen = new Int32Array(32);

/** Distinct 32-byte sectors of a global access; accesses are aligned, so none straddles two. */
export function sectors(mask: number): number {
  let count = 0;
  let last = -1;
  for (let lane = 0; lane < 32; lane++) {
    if (((mask >>> lane) & 1) === 0) continue;
    const sector = (OFFSETS[lane] as number) >>> 5;
    if (sector === last) continue;
    last = sector;
    let index = 0;
    while (index < count && seen[index] !== sector) index++;
    if (index === count) seen[count++] = sector;
  }
  return count;
}

/** Counts a warp's global store of `bytes` a lane. */
export function countGlobalWrite(tally: Tally, mask: number, bytes: number): void {
  tally.globalSectorsWritten += sectors(mask);
  for (let rest = mask; rest !== 0; rest &= rest - 1) tally.globalBytesWritten += bytes;
}
