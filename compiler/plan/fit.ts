import type { GpuMachine } from "./machine.ts";

/** Something that fits a device, or the limit that it breaks and by how much. */
export type Fitted<T> = { readonly fits: true; readonly value: T } | Misfit;

interface Misfit {
  readonly fits: false;
  readonly reason: string;
}

export function fits<T>(value: T): Fitted<T> {
  return { fits: true, value };
}

export function doesNotFit(reason: string): Misfit {
  return { fits: false, reason };
}

/** What is made of something, where that fits. */
export function whereFits<T, Made>(fitted: Fitted<T>, make: (value: T) => Made): Fitted<Made> {
  return fitted.fits ? fits(make(fitted.value)) : fitted;
}

/** The same, with a reason that says what does not fit. */
export function named<T>(name: string, fitted: Fitted<T>): Fitted<T> {
  return fitted.fits ? fitted : doesNotFit(`${name}: ${fitted.reason}`);
}

/** All of them, or the reason of the first that does not fit. */
export function allFit<T>(each: readonly Fitted<T>[]): Fitted<readonly T[]> {
  const values: T[] = [];
  for (const fitted of each) {
    if (!fitted.fits) return fitted;
    values.push(fitted.value);
  }
  return fits(values);
}

/** What a workgroup lacks of its memory for so many bytes, as a reason; null where they fit. */
export function memoryFault({ limits, terms }: GpuMachine, bytes: number): string | null {
  const lacking = bytes - limits.workgroupBytes;
  return lacking <= 0
    ? null
    : `needs ${bytes} bytes of ${terms.memory}, ${lacking} more than ${terms.owner} has`;
}

/** What an invocation would hold in registers: 4x4 blocks of results, and words by an estimate. */
interface HeldRegisters {
  readonly blocks: number;
  readonly words: number;
}

/** What is too much for the registers of an invocation, as a reason goes on after the kernel's name; null where all fits. */
export function registerFault({ registers, terms }: GpuMachine, held: HeldRegisters): string | null {
  const { counts, most } = registers;
  if (held[counts] <= most) return null;
  const place = `in the registers of ${terms.invocation === "invocation" ? "an" : "a"} ${terms.invocation}`;
  return counts === "blocks"
    ? `keeps ${held.blocks * 16} results ${place}, ${(held.blocks - most) * 16} more than fit`
    : `keeps about ${held.words} words ${place}, of ${most}`;
}
