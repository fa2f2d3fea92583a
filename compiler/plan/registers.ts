import type { Machine } from "./machine.ts";

/** What an invocation would hold in registers: 4x4 blocks of results, and words by an estimate. */
export interface HeldRegisters {
  readonly blocks: number;
  readonly words: number;
}

/** What is too much for the registers of an invocation, as a reason goes on after the kernel's name; null where all fits. */
export function registerFault({ registers, terms }: Machine, held: HeldRegisters): string | null {
  const { counts, most } = registers;
  if (held[counts] <= most) return null;
  const place = `in the registers of ${terms.invocation === "invocation" ? "an" : "a"} ${terms.invocation}`;
  return counts === "blocks"
    ? `keeps ${held.blocks * 16} results ${place}, ${(held.blocks - most) * 16} more than fit`
    : `keeps about ${held.words} words ${place}, of ${most}`;
}
