import type { Instruction } from "../ptx/ir.ts";
import type { LaneWriter } from "./lane-writer.ts";
import { type Modifiers, notImplemented } from "./modifiers.ts";
import { integer, isSigned, width } from "./scalar-types.ts";

/** Writes the JavaScript of one lane-wise instruction. */
export type Emitter = (writer: LaneWriter, instruction: Instruction, modifiers: Modifiers) => void;

function wide(type: string): boolean {
  return width(type) === 64;
}

export const addSub: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const { type } = modifiers;
  const minus = instruction.opcode === "sub";
  if (!wide(type)) {
    const [x, y] = [integer(writer, a, type), integer(writer, b, type)];
    if (modifiers.take("sat")) {
      if (type !== "s32") throw notImplemented(instruction, "saturation of this type");
      writer.setInt(d, `Math.max(-2147483648,Math.min(2147483647,${x}${minus ? "-" : "+"}${y}))`);
    } else writer.setInt(d, `${x}${minus ? "-" : "+"}${y}`);
    return;
  }
  const [x, y] = [writer.pair(a), writer.pair(b)];
  if (minus) {
    const low = writer.temporary(`(${x.low}-${y.low})|0`);
    writer.setPair(d, low, `${x.high}-${y.high}-((${x.low}>>>0)<(${y.low}>>>0)?1:0)`);
  } else {
    const low = writer.temporary(`(${x.low}+${y.low})|0`);
    writer.setPair(d, low, `${x.high}+${y.high}+((${low}>>>0)<(${x.low}>>>0)?1:0)`);
  }
};

function rare(writer: LaneWriter, instruction: Instruction, operation: string, signed: boolean): void {
  const [d, a, b] = instruction.operands;
  const [x, y] = [writer.pair(a), writer.pair(b)];
  const low = writer.temporary(`rare64("${operation}",${x.low},${x.high},${y.low},${y.high},${signed})`);
  writer.setPair(d, low, writer.temporary("takeHigh()"));
}

export const mulMad: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const { type } = modifiers;
  const mad = instruction.opcode === "mad";
  const part = modifiers.oneOf(["lo", "hi", "wide"]) ?? "lo";
  const signed = isSigned(type);
  if (wide(type)) {
    if (part === "wide") throw notImplemented(instruction, "a 128-bit product");
    if (part === "hi") {
      if (mad) throw notImplemented(instruction, "a 64-bit mad.hi");
      rare(writer, instruction, "mulhi", signed);
      return;
    }
    const [x, y] = [writer.pair(a, signed), writer.pair(b, signed)];
    const low = writer.temporary(`mul64(${x.low},${x.high},${y.low},${y.high})`);
    const high = writer.temporary("takeHigh()");
    addPair(writer, instruction, low, high, mad, signed);
    return;
  }
  const [x, y] = [integer(writer, a, type), integer(writer, b, type)];
  if (part === "wide") {
    if (width(type) === 16) {
      writer.setInt(d, mad ? `Math.imul(${x},${y})+${writer.int(c)}` : `Math.imul(${x},${y})`);
      return;
    }
    const low = writer.temporary(`Math.imul(${x},${y})`);
    const high = writer.temporary(`${signed ? "mulHighSigned" : "mulHighUnsigned"}(${x},${y})`);
    addPair(writer, instruction, low, high, mad, signed);
    return;
  }
  let product: string;
  if (part === "lo") product = `Math.imul(${x},${y})`;
  else if (width(type) === 16) product = `(Math.imul(${x},${y})>>16)`;
  else product = `${signed ? "mulHighSigned" : "mulHighUnsigned"}(${x},${y})`;
  if (mad && modifiers.take("sat")) throw notImplemented(instruction, "saturation");
  writer.setInt(d, mad ? `${product}+${integer(writer, c, type)}` : product);
};

function addPair(
  writer: LaneWriter,
  instruction: Instruction,
  low: string,
  high: string,
  mad: boolean,
  signed: boolean,
): void {
  const [d, , , c] = instruction.operands;
  if (!mad) {
    writer.setPair(d, low, high);
    return;
  }
  const z = writer.pair(c, signed);
  const sum = writer.temporary(`(${low}+${z.low})|0`);
  writer.setPair(d, sum, `${high}+${z.high}+((${sum}>>>0)<(${low}>>>0)?1:0)`);
}

export const mul24: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  if (!modifiers.take("lo")) throw notImplemented(instruction, "the high part");
  const cut = (text: string) => (modifiers.type === "s32" ? `(${text}<<8>>8)` : `(${text}&16777215)`);
  const product = `Math.imul(${cut(writer.int(a))},${cut(writer.int(b))})`;
  writer.setInt(d, instruction.opcode === "mad24" ? `${product}+${writer.int(c)}` : product);
};

export const divRem: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const { type } = modifiers;
  if (wide(type)) {
    rare(writer, instruction, instruction.opcode, isSigned(type));
    return;
  }
  const x = integer(writer, a, type);
  const y = integer(writer, b, type);
  // Division by zero gives all ones and leaves the dividend as the rest (PTX ISA: machine-specific; so do NVIDIA's).
  writer.setInt(
    d,
    instruction.opcode === "div" ? `(${y}===0?-1:Math.trunc(${x}/${y}))` : `(${y}===0?${x}:${x}%${y})`,
  );
};

export const minMax: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const { type } = modifiers;
  if (modifiers.take("relu")) throw notImplemented(instruction, "the modifier .relu");
  if (wide(type)) rare(writer, instruction, instruction.opcode, isSigned(type));
  else {
    const [x, y] = [integer(writer, a, type), integer(writer, b, type)];
    writer.setInt(d, `(${x}${instruction.opcode === "min" ? "<" : ">"}${y}?${x}:${y})`);
  }
};

export const negAbs: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { type } = modifiers;
  const negate = instruction.opcode === "neg";
  if (!wide(type)) {
    const x = integer(writer, a, type);
    writer.setInt(d, negate ? `-${x}` : `(${x}<0?-${x}:${x})`);
    return;
  }
  const x = writer.pair(a);
  const low = writer.temporary(`(-${x.low})|0`);
  const high = writer.temporary(`(~${x.high}+(${x.low}===0?1:0))|0`);
  if (negate) writer.setPair(d, low, high);
  else writer.setPair(d, `${x.high}<0?${low}:${x.low}`, `${x.high}<0?${high}:${x.high}`);
};

const LOGIC: Readonly<Record<string, string>> = { and: "&", or: "|", xor: "^" };

export const logic: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const { type } = modifiers;
  const operator = LOGIC[instruction.opcode] ?? "&";
  if (type === "pred") {
    const [x, y] = [writer.predicate(a), writer.predicate(b)];
    writer.setPredicate(d, operator === "^" ? `(${x})!==(${y})` : `${x}${operator}${operator}${y}`);
  } else if (wide(type)) {
    const [x, y] = [writer.pair(a), writer.pair(b)];
    writer.setPair(d, `${x.low}${operator}${y.low}`, `${x.high}${operator}${y.high}`);
  } else writer.setInt(d, `${writer.int(a)}${operator}${writer.int(b)}`);
};

export const not: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { type } = modifiers;
  if (type === "pred") writer.setPredicate(d, `!(${writer.predicate(a)})`);
  else if (wide(type)) {
    const x = writer.pair(a);
    writer.setPair(d, `~${x.low}`, `~${x.high}`);
  } else writer.setInt(d, `~${writer.int(a)}`);
};

export const cnot: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  if (wide(modifiers.type)) throw notImplemented(instruction, "a 64-bit cnot");
  writer.setInt(d, `${integer(writer, a, modifiers.type)}===0?1:0`);
};

/** Shift counts are unsigned 32-bit numbers and clamped at the width (PTX ISA 9.0, "Logic and Shift Instructions"). */
export const shift: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const { type } = modifiers;
  const left = instruction.opcode === "shl";
  const signed = isSigned(type);
  const count = b?.kind === "immediate" ? `${Number(BigInt.asUintN(32, b.bits))}` : `(${writer.int(b)}>>>0)`;
  if (wide(type)) {
    const x = writer.pair(a);
    const low = writer.temporary(
      left ? `shl64(${x.low},${x.high},${count})` : `shr64(${x.low},${x.high},${count},${signed})`,
    );
    writer.setPair(d, low, writer.temporary("takeHigh()"));
    return;
  }
  const bits = width(type);
  const x = integer(writer, a, left ? type : signed ? type : bits === 16 ? "u16" : "u32");
  const operator = left ? "<<" : signed ? ">>" : ">>>";
  const beyond = signed && !left ? `${x}>>31` : "0";
  const constant = b?.kind === "immediate" ? Number(BigInt.asUintN(32, b.bits)) : null;
  if (constant !== null) writer.setInt(d, constant >= bits ? beyond : `${x}${operator}${constant}`);
  else writer.setInt(d, `${count}<${bits}?${x}${operator}${count}:${beyond}`);
};

export const funnel: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const left = modifiers.oneOf(["l", "r"]) === "l";
  const wrap = modifiers.oneOf(["wrap", "clamp"]) === "wrap";
  const count = wrap ? `${writer.int(c)}&31` : `Math.min(${writer.int(c)}>>>0,32)`;
  writer.setInt(d, `${left ? "funnelLeft" : "funnelRight"}(${writer.int(a)},${writer.int(b)},${count})`);
};

export const bitField: Emitter = (writer, instruction, modifiers) => {
  const { type } = modifiers;
  const extract = instruction.opcode === "bfe";
  const [d, a, ...rest] = instruction.operands;
  const b = extract ? undefined : rest.shift();
  const [position, length] = [writer.int(rest[0]), writer.int(rest[1])];
  if (wide(type)) {
    const x = writer.pair(a);
    const y = extract ? { low: "0", high: "0" } : writer.pair(b);
    const field = `${position},${length},${isSigned(type) ? 1 : 0}`;
    const low = writer.temporary(
      `bitField64(${extract ? 1 : 0},${x.low},${x.high},${y.low},${y.high},${field})`,
    );
    writer.setPair(d, low, writer.temporary("takeHigh()"));
  } else if (extract) {
    writer.setInt(d, `bfe32(${writer.int(a)},${position},${length},${isSigned(type) ? 1 : 0})`);
  } else writer.setInt(d, `bfi32(${writer.int(a)},${writer.int(b)},${position},${length})`);
};

export const bitCount: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { type } = modifiers;
  const shiftAmount = instruction.opcode === "bfind" && modifiers.take("shiftamt");
  if (wide(type)) {
    const x = writer.pair(a);
    if (instruction.opcode === "popc") writer.setInt(d, `popc32(${x.low})+popc32(${x.high})`);
    else if (instruction.opcode === "clz") {
      writer.setInt(d, `${x.high}===0?32+Math.clz32(${x.low}):Math.clz32(${x.high})`);
    } else if (instruction.opcode === "brev") writer.setPair(d, `brev32(${x.high})`, `brev32(${x.low})`);
    else throw notImplemented(instruction, "a 64-bit bfind");
    return;
  }
  const x = writer.int(a);
  if (instruction.opcode === "popc") writer.setInt(d, `popc32(${x})`);
  else if (instruction.opcode === "clz") writer.setInt(d, `Math.clz32(${x})`);
  else if (instruction.opcode === "brev") writer.setInt(d, `brev32(${x})`);
  else {
    const value = isSigned(type) ? `(${x}<0?~${x}:${x})` : x;
    const zeros = writer.temporary(`Math.clz32(${value})`);
    writer.setInt(d, shiftAmount ? `${zeros}===32?-1:${zeros}` : `31-${zeros}`);
  }
};

export const lop3: Emitter = (writer, instruction) => {
  const [d, a, b, c, table] = instruction.operands;
  if (table?.kind !== "immediate") throw notImplemented(instruction, "a table that is no constant");
  const [x, y, z] = [writer.int(a), writer.int(b), writer.int(c)];
  const lookup = Number(table.bits & 255n);
  // Sum of the table's minterms: row (a, b, c) of the table is bit 4a + 2b + c.
  const terms: string[] = [];
  for (let row = 0; row < 8; row++) {
    if (((lookup >> row) & 1) === 0) continue;
    terms.push(`${row & 4 ? "" : "~"}${x}&${row & 2 ? "" : "~"}${y}&${row & 1 ? "" : "~"}${z}`);
  }
  writer.setInt(d, terms.length === 0 ? "0" : terms.join("|"));
};

export const prmt: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const mode = modifiers.oneOf(["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]) ?? "";
  writer.setInt(d, `prmt32(${writer.int(a)},${writer.int(b)},${writer.int(c)},"${mode}")`);
};

export const sad: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  const { type } = modifiers;
  if (wide(type)) throw notImplemented(instruction, "a 64-bit sad");
  const [x, y] = [integer(writer, a, type), integer(writer, b, type)];
  writer.setInt(d, `Math.abs(${x}-${y})+${integer(writer, c, type)}`);
};
