import { EmulatorError } from "../errors.ts";
import type { Instruction } from "../ptx/ir.ts";

const TYPE = /^(?:[subf](?:8|16|32|64|128)|pred|f16x2|bf16|bf16x2|tf32|f32x2|u16x2|s16x2)$/;

export function notImplemented(instruction: Instruction, what: string, kernel?: string): EmulatorError {
  return new EmulatorError(
    "MTA850",
    `PTX line ${instruction.ptxLine}: ${what} is not implemented: ${instruction.text}`,
    { kernel: kernel ?? null },
  );
}

/**
 * Modifiers of one instruction, taken one by one: what nobody takes is not implemented, so a modifier that this emulator does not
 * know can never be ignored by mistake.
 */
export class Modifiers {
  readonly types: readonly string[];
  readonly instruction: Instruction;
  private readonly left: string[];

  constructor(instruction: Instruction) {
    this.instruction = instruction;
    this.types = instruction.modifiers.filter((part) => TYPE.test(part));
    this.left = instruction.modifiers.filter((part) => !TYPE.test(part));
  }

  take(name: string): boolean {
    const index = this.left.indexOf(name);
    if (index < 0) return false;
    this.left.splice(index, 1);
    return true;
  }

  /** The first of the names that is there, or the fallback. */
  oneOf<const Name extends string>(names: readonly Name[]): Name | null {
    for (const name of names) if (this.take(name)) return name;
    return null;
  }

  takeMatching(pattern: RegExp): string | null {
    const found = this.left.find((part) => pattern.test(part));
    if (found === undefined) return null;
    this.take(found);
    return found;
  }

  /** The one type of an instruction that has one. */
  get type(): string {
    const type = this.types.at(-1);
    if (type === undefined) throw notImplemented(this.instruction, "an instruction without a type");
    return type;
  }

  finish(): void {
    const rest = this.left[0];
    if (rest !== undefined) throw notImplemented(this.instruction, `the modifier .${rest}`);
  }
}
