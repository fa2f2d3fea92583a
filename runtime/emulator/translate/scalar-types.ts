import type { Operand } from "../ptx/ir.ts";
import type { LaneWriter } from "./lane-writer.ts";

export function isSigned(type: string): boolean {
  return type.startsWith("s");
}

/** Width in bits of a scalar type. */
export function width(type: string): number {
  if (type === "bf16") return 16;
  if (type === "f16x2" || type === "bf16x2" || type === "tf32" || type.endsWith("16x2")) return 32;
  if (type === "f32x2") return 64;
  return Number(type.slice(1));
}

/** An integer operand of 8, 16 or 32 bits, extended to a number by its type. */
export function integer(writer: LaneWriter, operand: Operand | undefined, type: string): string {
  const value = writer.int(operand);
  switch (type) {
    case "s32":
    case "b32":
      return value;
    case "u32":
      return `(${value}>>>0)`;
    case "s16":
      return `(${value}<<16>>16)`;
    case "s8":
      return `(${value}<<24>>24)`;
    case "u8":
    case "b8":
      return `(${value}&255)`;
    default:
      return writer.short(operand);
  }
}
