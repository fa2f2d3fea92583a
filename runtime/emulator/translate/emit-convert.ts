import type { Instruction, Operand } from "../ptx/ir.ts";
import type { Emitter } from "./emit-integer.ts";
import type { LaneWriter } from "./lane-writer.ts";
import { type Modifiers, notImplemented } from "./modifiers.ts";
import { integer, isSigned, width } from "./scalar-types.ts";

const INTEGER_ROUNDINGS = ["rni", "rzi", "rmi", "rpi"] as const;
const FLOAT_ROUNDINGS = ["rn", "rz", "rm", "rp", "rna"] as const;

const ROUND_TO_INTEGER: Readonly<Record<(typeof INTEGER_ROUNDINGS)[number], string>> = {
  rni: "roundEven",
  rzi: "Math.trunc",
  rmi: "Math.floor",
  rpi: "Math.ceil",
};

function isFloat(type: string): boolean {
  return type.startsWith("f") || type.startsWith("bf") || type === "tf32";
}

function readFloat(writer: LaneWriter, operand: Operand | undefined, type: string): string {
  if (type === "f64") return writer.double(operand);
  if (type === "f32") return writer.float(operand);
  return `${type === "bf16" ? "BF16" : "F16"}[${writer.short(operand)}]`;
}

/** Conversions (PTX ISA 9.0, "Data Movement and Conversion Instructions: cvt"). */
export const convert: Emitter = (writer, instruction, modifiers) => {
  const [to, from] = modifiers.types;
  if (to === undefined || from === undefined) throw notImplemented(instruction, "a conversion without types");
  const [d, a] = instruction.operands;
  const toInteger = modifiers.oneOf(INTEGER_ROUNDINGS);
  const rounding = modifiers.oneOf(FLOAT_ROUNDINGS) ?? "rn";
  const saturates = modifiers.take("sat");
  const satfinite = modifiers.take("satfinite");
  const relu = modifiers.take("relu");
  const flushes = modifiers.take("ftz");
  if (to === "f16x2" || to === "bf16x2") {
    const [, high, low] = instruction.operands;
    if (from !== "f32") throw notImplemented(instruction, `a conversion from ${from}`);
    const item = (operand: Operand | undefined) =>
      encodeHalf(to === "bf16x2", pre(writer.float(operand), flushes, relu), rounding, satfinite);
    // The first source goes to the upper half.
    const upper = item(high);
    writer.setInt(d, `${upper}<<16|${item(low)}`);
    return;
  }
  if (to === "tf32") {
    writer.setInt(d, `encodeTf32(${pre(readFloat(writer, a, from), flushes, relu)},"${rounding}")`);
    return;
  }
  if (isFloat(from) && isFloat(to)) {
    let value = pre(readFloat(writer, a, from), flushes, relu);
    if (toInteger !== null) value = `${ROUND_TO_INTEGER[toInteger]}(${value})`;
    if (saturates) value = `saturate(${value})`;
    writeFloat(writer, instruction, to, from, value, rounding, satfinite, flushes);
  } else if (isFloat(from)) {
    const x = pre(readFloat(writer, a, from), flushes, false);
    floatToInteger(writer, d, to, from, `${ROUND_TO_INTEGER[toInteger ?? "rzi"]}(${x})`);
  } else if (isFloat(to)) integerToFloat(writer, instruction, to, from, rounding);
  else integerToInteger(writer, instruction, modifiers, to, from, saturates);
};

function pre(value: string, flushes: boolean, relu: boolean): string {
  const flushed = flushes ? `flush(${value})` : value;
  return relu ? `(${flushed}<0?0:${flushed})` : flushed;
}

function encodeHalf(brain: boolean, value: string, rounding: string, satfinite: boolean): string {
  const mode = rounding === "rn" ? "" : `,"${rounding}"`;
  if (satfinite) {
    const limit = brain ? "3.3895313892515355e38" : "65504";
    return `${brain ? "encodeBf16" : "encodeF16"}(clampFinite(${value},${limit})${mode})`;
  }
  return `${brain ? "encodeBf16" : "encodeF16"}(${value}${mode})`;
}

function writeFloat(
  writer: LaneWriter,
  instruction: Instruction,
  to: string,
  from: string,
  value: string,
  rounding: string,
  satfinite: boolean,
  flushes: boolean,
): void {
  const [d] = instruction.operands;
  if (to === "f64") writer.setDouble(d, value);
  else if (to === "f32") {
    const rounded =
      from !== "f64" ? value : rounding === "rn" ? `fround(${value})` : `roundF32(${value},"${rounding}")`;
    writer.setFloat(d, flushes ? `flush(${rounded})` : rounded);
  } else if (to === "f16" || to === "bf16") {
    writer.setInt(d, encodeHalf(to === "bf16", value, rounding, satfinite));
  } else throw notImplemented(instruction, `a conversion to ${to}`);
}

/** Out of range is clamped, NaN gives 0 (the highest bit alone for 64 bits and from f64). */
function floatToInteger(
  writer: LaneWriter,
  d: Operand | undefined,
  to: string,
  from: string,
  rounded: string,
): void {
  const bits = width(to);
  if (bits === 64) {
    const low = writer.temporary(`floatTo64(${rounded},${isSigned(to)})`);
    writer.setPair(d, low, writer.temporary("takeHigh()"));
    return;
  }
  const lowest = isSigned(to) ? -(2 ** (bits - 1)) : 0;
  const highest = isSigned(to) ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const nan = from !== "f64" ? 0 : isSigned(to) ? lowest : 2 ** (bits - 1);
  const x = writer.temporary(rounded);
  writer.setInt(d, `${x}!==${x}?${nan}:Math.max(${lowest},Math.min(${highest},${x}))`, isSigned(to));
}

function integerToFloat(
  writer: LaneWriter,
  instruction: Instruction,
  to: string,
  from: string,
  rounding: string,
): void {
  const [d, a] = instruction.operands;
  let value: string;
  if (width(from) === 64) {
    const x = writer.pair(a);
    // Through f64 rounded to odd, so that the second rounding is right; f64 itself is rounded to nearest.
    value =
      to === "f64"
        ? `to64Float(${x.low},${x.high},${isSigned(from)})`
        : `to64Odd(${x.low},${x.high},${isSigned(from)})`;
    if (to === "f64" && rounding !== "rn") throw notImplemented(instruction, `.${rounding} to f64`);
  } else value = integer(writer, a, from);
  if (to === "f64") writer.setDouble(d, value);
  else if (to === "f32")
    writer.setFloat(d, rounding === "rn" ? `fround(${value})` : `roundF32(${value},"${rounding}")`);
  else writer.setInt(d, encodeHalf(to === "bf16", value, rounding, false));
}

function integerToInteger(
  writer: LaneWriter,
  instruction: Instruction,
  modifiers: Modifiers,
  to: string,
  from: string,
  saturates: boolean,
): void {
  const [d, a] = instruction.operands;
  if (to === "f16x2" || modifiers.types.length !== 2) throw notImplemented(instruction, "this conversion");
  if (width(from) === 64) {
    if (saturates) throw notImplemented(instruction, "saturation from 64 bits");
    const x = writer.pair(a);
    if (width(to) === 64) writer.setPair(d, x.low, x.high);
    else writer.setInt(d, truncate(x.low, to), isSigned(to));
    return;
  }
  const x = integer(writer, a, from);
  if (width(to) === 64) {
    writer.setPair(d, x, isSigned(from) ? `${x}>>31` : "0");
    return;
  }
  if (!saturates) {
    writer.setInt(d, truncate(x, to), isSigned(to));
    return;
  }
  const bits = width(to);
  const lowest = isSigned(to) ? -(2 ** (bits - 1)) : 0;
  const highest = isSigned(to) ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  writer.setInt(d, `Math.max(${lowest},Math.min(${highest},${x}))`, isSigned(to));
}

/** To the type's width; the register beyond it is filled by the sign or with zeros. */
function truncate(value: string, type: string): string {
  switch (width(type)) {
    case 8:
      return isSigned(type) ? `((${value})<<24>>24)` : `(${value})&255`;
    case 16:
      return isSigned(type) ? `((${value})<<16>>16)` : `(${value})&65535`;
    default:
      return value;
  }
}
