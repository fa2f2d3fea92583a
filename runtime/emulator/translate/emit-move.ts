import type { Instruction, Operand } from "../ptx/ir.ts";
import type { Emitter } from "./emit-integer.ts";
import type { LaneWriter } from "./lane-writer.ts";
import { type Modifiers, notImplemented } from "./modifiers.ts";
import { integer, isSigned, width } from "./scalar-types.ts";

/** Windows of the generic address space: the high word of the address names the space. */
export const SHARED_WINDOW = 1;
export const LOCAL_WINDOW = 2;

function vectorItems(operand: Operand | undefined): readonly Operand[] | null {
  return operand?.kind === "vector" ? operand.items : null;
}

export const move: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { type } = modifiers;
  const [parts, sources] = [vectorItems(d), vectorItems(a)];
  if (parts !== null) unpack(writer, instruction, parts, a, type);
  else if (sources !== null) pack(writer, instruction, d, sources, type);
  else if (type === "pred") writer.setPredicate(d, writer.predicate(a));
  else if (width(type) === 128) throw notImplemented(instruction, "a 128-bit move");
  else if (width(type) === 64) {
    if (a?.kind === "immediate" && a.float === 0 && type === "f64") writer.setDouble(d, writer.double(a));
    else {
      const x = writer.pair(a);
      writer.setPair(d, x.low, x.high);
    }
  } else if (a !== undefined && width(type) === 32 && writer.heldAsFloat(a)) {
    writer.setFloat(d, writer.float(a));
  } else writer.setInt(d, writer.int(a, type === "f32"));
};

/** `mov.b32 {lo, hi}, r`: the least significant part comes first. */
function unpack(
  writer: LaneWriter,
  instruction: Instruction,
  parts: readonly Operand[],
  source: Operand | undefined,
  type: string,
): void {
  const bits = width(type) / parts.length;
  if (width(type) === 64) {
    const x = writer.pair(source);
    const [low, high] = [writer.temporary(x.low), writer.temporary(x.high)];
    parts.forEach((part, index) => {
      const word = index * bits < 32 ? low : high;
      writer.setInt(part, bits === 32 ? word : `${word}>>>${(index * bits) % 32}`);
    });
  } else if (bits === 16 || bits === 8) {
    const x = writer.temporary(writer.int(source));
    parts.forEach((part, index) => {
      writer.setInt(part, `(${x}>>>${index * bits})&${2 ** bits - 1}`);
    });
  } else throw notImplemented(instruction, "this unpacking");
}

function pack(
  writer: LaneWriter,
  instruction: Instruction,
  destination: Operand | undefined,
  sources: readonly Operand[],
  type: string,
): void {
  const bits = width(type) / sources.length;
  if (bits !== 8 && bits !== 16 && bits !== 32) throw notImplemented(instruction, "this packing");
  const mask = bits === 32 ? -1 : 2 ** bits - 1;
  const words = ["0", "0"];
  sources.forEach((source, index) => {
    const word = (index * bits) >> 5;
    const part = `(${writer.int(source)}&${mask})<<${(index * bits) % 32}`;
    words[word] = words[word] === "0" ? part : `${words[word]}|${part}`;
  });
  const [low = "0", high = "0"] = words;
  if (width(type) === 64) writer.setPair(destination, low, high);
  else writer.setInt(destination, low);
}

export const select: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, p] = instruction.operands;
  const condition = writer.predicate(p);
  if (width(modifiers.type) === 64) {
    const [x, y] = [double(writer, a, modifiers.type), double(writer, b, modifiers.type)];
    writer.setPair(d, `${condition}?${x.low}:${y.low}`, `${condition}?${x.high}:${y.high}`);
  } else if (a !== undefined && b !== undefined && writer.heldAsFloat(a) && writer.heldAsFloat(b)) {
    writer.setFloat(d, `${condition}?${writer.float(a)}:${writer.float(b)}`);
  } else {
    const asFloat = modifiers.type === "f32";
    writer.setInt(d, `${condition}?${writer.int(a, asFloat)}:${writer.int(b, asFloat)}`);
  }
};

function double(
  writer: LaneWriter,
  operand: Operand | undefined,
  type: string,
): { low: string; high: string } {
  if (operand?.kind !== "immediate" || type !== "f64" || operand.float !== 0) return writer.pair(operand);
  const value = writer.double(operand);
  return { low: `f64Low(${value})`, high: `f64High(${value})` };
}

export const selectBySign: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const [type, by] = modifiers.types;
  modifiers.take("ftz");
  // A NaN selects b.
  const condition = by === "f32" ? `${writer.float(c)}>=0` : `${writer.int(c)}>=0`;
  const chosen = writer.temporary(condition);
  if (width(type ?? "b32") === 64) {
    const [x, y] = [writer.pair(a), writer.pair(b)];
    writer.setPair(d, `${chosen}?${x.low}:${y.low}`, `${chosen}?${x.high}:${y.high}`);
  } else writer.setInt(d, `${chosen}?${writer.int(a, type === "f32")}:${writer.int(b, type === "f32")}`);
};

const ORDERED: Readonly<Record<string, string>> = {
  eq: "===",
  ne: "!==",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
  lo: "<",
  ls: "<=",
  hi: ">",
  hs: ">=",
};
const UNORDERED: Readonly<Record<string, string>> = {
  equ: "===",
  neu: "!==",
  ltu: "<",
  leu: "<=",
  gtu: ">",
  geu: ">=",
};
const COMPARISONS = [...Object.keys(ORDERED), ...Object.keys(UNORDERED), "num", "nan"];

/** Two numbers as f64 of an operand: floats by value, integers by their type. */
function comparable(
  writer: LaneWriter,
  operand: Operand | undefined,
  type: string,
  flushes: boolean,
): string {
  if (type === "f64") return writer.double(operand);
  if (type === "f32") {
    const x = writer.float(operand);
    return flushes ? writer.temporary(`flush(${x})`) : x;
  }
  if (type === "f16") return writer.temporary(`F16[${writer.short(operand)}]`);
  if (type === "bf16") return writer.temporary(`BF16[${writer.short(operand)}]`);
  return integer(writer, operand, type);
}

function compare(
  writer: LaneWriter,
  modifiers: Modifiers,
  a: Operand | undefined,
  b: Operand | undefined,
): string {
  const { instruction } = modifiers;
  const type = modifiers.type;
  const operator = modifiers.oneOf(COMPARISONS);
  if (operator === null) throw notImplemented(instruction, "this comparison");
  if (!type.startsWith("f") && !type.startsWith("bf") && width(type) === 64)
    return compare64(writer, operator, type, a, b);
  if (type.endsWith("x2")) throw notImplemented(instruction, `a comparison of ${type}`);
  const flushes = modifiers.take("ftz");
  // lo, ls, hi and hs are unsigned comparisons whatever the type says.
  const asType = /^(?:lo|ls|hi|hs)$/.test(operator) ? type.replace(/^[bs]/, "u") : type;
  const [x, y] = [comparable(writer, a, asType, flushes), comparable(writer, b, asType, flushes)];
  return compareNumbers(operator, x, y, /^b?f/.test(type));
}

function compareNumbers(operator: string, x: string, y: string, float: boolean): string {
  if (operator === "num") return `(${x}===${x}&&${y}===${y})`;
  if (operator === "nan") return `(${x}!==${x}||${y}!==${y})`;
  const unordered = UNORDERED[operator];
  if (unordered !== undefined) return `(${x}${unordered}${y}||${x}!==${x}||${y}!==${y})`;
  // The ordered `ne` is false for a NaN, unlike JavaScript's.
  if (operator === "ne" && float) return `(${x}<${y}||${x}>${y})`;
  return `(${x}${ORDERED[operator]}${y})`;
}

function compare64(
  writer: LaneWriter,
  operator: string,
  type: string,
  a: Operand | undefined,
  b: Operand | undefined,
): string {
  const [x, y] = [writer.pair(a), writer.pair(b)];
  if (operator === "eq") return `(${x.low}===${y.low}&&${x.high}===${y.high})`;
  if (operator === "ne") return `(${x.low}!==${y.low}||${x.high}!==${y.high})`;
  const sign = isSigned(type) && /^[lg]/.test(operator) && !/^l[os]$/.test(operator) ? "" : ">>>0";
  const high = (value: string) => (sign === "" ? value : `(${value}>>>0)`);
  const symbol = ORDERED[operator] ?? "<";
  const strict = symbol.charAt(0);
  return `(${high(x.high)}${strict}${high(y.high)}||(${x.high}===${y.high}&&(${x.low}>>>0)${symbol}(${y.low}>>>0)))`;
}

export const setPredicate: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const join = modifiers.oneOf(["and", "or", "xor"]);
  const found = writer.temporary(compare(writer, modifiers, a, b));
  const combine = (value: string) => {
    if (join === null) return value;
    const other = writer.predicate(c);
    return join === "xor" ? `(${value})!==(${other})` : `${value}${join === "and" ? "&&" : "||"}${other}`;
  };
  if (d?.kind !== "pair") {
    writer.setPredicate(d, combine(found));
    return;
  }
  // p|q: q takes the inverted comparison, combined alike.
  const [first, second] = [writer.temporary(combine(found)), writer.temporary(combine(`!${found}`))];
  writer.setPredicate(d.first, first);
  writer.setPredicate(d.second, second);
};

export const setValue: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const [type = "u32"] = modifiers.types;
  const join = modifiers.oneOf(["and", "or", "xor"]);
  let found = writer.temporary(compare(writer, modifiers, a, b));
  if (join !== null) {
    const other = writer.predicate(c);
    found = join === "xor" ? `(${found})!==(${other})` : `(${found}${join === "and" ? "&&" : "||"}${other})`;
  }
  const one: Readonly<Record<string, string>> = { f32: "0x3f800000", f16: "0x3c00", bf16: "0x3f80" };
  writer.setInt(d, `${found}?${one[type] ?? "-1"}:0`);
};

/** Addresses: only generic ones of shared and local memory differ from those of their space. */
export const convertAddress: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const to = modifiers.take("to");
  const space = modifiers.takeMatching(/^(?:global|shared|local|const|param)(?:::\w+)?$/) ?? "";
  const { type } = modifiers;
  const windowed = space.startsWith("shared") ? SHARED_WINDOW : space === "local" ? LOCAL_WINDOW : null;
  const x = writer.pair(a);
  if (width(type) === 32) writer.setInt(d, x.low);
  else if (windowed === null) writer.setPair(d, x.low, x.high);
  else if (to) writer.setPair(d, x.low, `${x.high}===${windowed}?0:-1`);
  else writer.setPair(d, x.low, `${windowed}`);
};
