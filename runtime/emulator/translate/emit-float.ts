import type { Instruction, Operand } from "../ptx/ir.ts";
import type { Emitter } from "./emit-integer.ts";
import type { LaneWriter } from "./lane-writer.ts";
import { type Modifiers, notImplemented } from "./modifiers.ts";

const ROUNDINGS = ["rn", "rz", "rm", "rp"] as const;

/** Reads and writes f32 operands of one instruction with its `.ftz` and `.sat`. */
class Float32Operation {
  readonly rounding: (typeof ROUNDINGS)[number] | null;
  private readonly writer: LaneWriter;
  private readonly flushes: boolean;
  private readonly saturates: boolean;

  constructor(writer: LaneWriter, modifiers: Modifiers) {
    this.writer = writer;
    this.rounding = modifiers.oneOf(ROUNDINGS);
    this.flushes = modifiers.take("ftz");
    this.saturates = modifiers.take("sat");
  }

  read(operand: Operand | undefined): string {
    const value = this.writer.float(operand);
    return this.flushes && operand?.kind === "register" ? this.writer.temporary(`flush(${value})`) : value;
  }

  write(operand: Operand | undefined, expression: string): void {
    let value = expression;
    if (this.flushes) value = `flush(${value})`;
    if (this.saturates) value = `saturate(${value})`;
    this.writer.setFloat(operand, value);
  }
}

/** The expression of an f64 operation; directed roundings of f64 are not implemented. */
function nearestOnly(instruction: Instruction, modifiers: Modifiers): void {
  const rounding = modifiers.oneOf(ROUNDINGS);
  if (rounding !== null && rounding !== "rn") throw notImplemented(instruction, `.${rounding} of f64`);
}

export const floatAddSub: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  const minus = instruction.opcode === "sub";
  if (modifiers.type === "f64") {
    nearestOnly(instruction, modifiers);
    writer.setDouble(d, `${writer.double(a)}${minus ? "-" : "+"}${writer.double(b)}`);
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const [x, y] = [operation.read(a), operation.read(b)];
  const { rounding } = operation;
  if (rounding !== null && rounding !== "rn") {
    operation.write(d, `addF32Mode(${x},${minus ? "-" : ""}(${y}),"${rounding}")`);
  } else operation.write(d, `fround(${x}${minus ? "-" : "+"}${y})`);
};

export const floatMul: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  if (modifiers.type === "f64") {
    nearestOnly(instruction, modifiers);
    writer.setDouble(d, `${writer.double(a)}*${writer.double(b)}`);
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const product = `${operation.read(a)}*${operation.read(b)}`;
  const { rounding } = operation;
  operation.write(
    d,
    rounding === null || rounding === "rn" ? `fround(${product})` : `roundF32(${product},"${rounding}")`,
  );
};

export const floatFma: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b, c] = instruction.operands;
  if (modifiers.type === "f64") {
    nearestOnly(instruction, modifiers);
    writer.setDouble(d, `fmaF64(${writer.double(a)},${writer.double(b)},${writer.double(c)})`);
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const list = `${operation.read(a)},${operation.read(b)},${operation.read(c)}`;
  const { rounding } = operation;
  operation.write(
    d,
    rounding === null || rounding === "rn" ? `fmaF32(${list})` : `fmaF32Mode(${list},"${rounding}")`,
  );
};

export const floatDiv: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  // .approx and .full are computed exactly: their error bounds hold.
  const approximate = modifiers.oneOf(["approx", "full"]) !== null;
  if (modifiers.type === "f64") {
    nearestOnly(instruction, modifiers);
    writer.setDouble(d, `${writer.double(a)}/${writer.double(b)}`);
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const [x, y] = [operation.read(a), operation.read(b)];
  const { rounding } = operation;
  if (approximate || rounding === "rn") operation.write(d, `fround(${x}/${y})`);
  else operation.write(d, `divF32Mode(${x},${y},"${rounding ?? "rn"}")`);
};

/** `.approx` functions are computed as well as f64 can and rounded to f32: within the error bounds that the PTX ISA gives. */
const FUNCTIONS: Readonly<Record<string, (x: string) => string>> = {
  ex2: (x) => `2**(${x})`,
  lg2: (x) => `Math.log2(${x})`,
  rcp: (x) => `1/(${x})`,
  sqrt: (x) => `Math.sqrt(${x})`,
  rsqrt: (x) => `1/Math.sqrt(${x})`,
  sin: (x) => `Math.sin(${x})`,
  cos: (x) => `Math.cos(${x})`,
  tanh: (x) => `Math.tanh(${x})`,
};

export const floatFunction: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { opcode } = instruction;
  const call = FUNCTIONS[opcode];
  if (call === undefined) throw notImplemented(instruction, `the function ${opcode}`);
  const { type } = modifiers;
  const approximate = modifiers.take("approx");
  if (type === "f64") {
    modifiers.take("ftz");
    nearestOnly(instruction, modifiers);
    writer.setDouble(d, call(writer.double(a)));
    return;
  }
  if (type !== "f32") {
    modifiers.take("ftz");
    halfFunction(writer, instruction, type, call);
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const x = operation.read(a);
  const { rounding } = operation;
  if (!approximate && rounding !== null && rounding !== "rn") {
    if (opcode === "rcp") operation.write(d, `divF32Mode(1,${x},"${rounding}")`);
    else if (opcode === "sqrt") operation.write(d, `sqrtF32Mode(${x},"${rounding}")`);
    else throw notImplemented(instruction, `.${rounding}`);
  } else operation.write(d, `fround(${call(x)})`);
};

function halfFunction(
  writer: LaneWriter,
  instruction: Instruction,
  type: string,
  call: (x: string) => string,
): void {
  const [d, a] = instruction.operands;
  const brain = type.startsWith("bf16");
  const [decode, encode] = brain ? ["BF16", "encodeBf16"] : ["F16", "encodeF16"];
  const bits = type.endsWith("x2") ? writer.int(a) : writer.short(a);
  const low = `${encode}(${call(`${decode}[${bits}&65535]`)})`;
  if (!type.endsWith("x2")) writer.setInt(d, low);
  else writer.setInt(d, `${low}|${encode}(${call(`${decode}[${bits}>>>16]`)})<<16`);
}

export const floatNegAbs: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const { type } = modifiers;
  const negate = instruction.opcode === "neg";
  if (type === "f64") {
    const x = writer.pair(a);
    writer.setPair(d, x.low, negate ? `${x.high}^0x80000000` : `${x.high}&0x7fffffff`);
  } else if (type === "f32") {
    const flushes = modifiers.take("ftz");
    const x = writer.float(a);
    const value = flushes ? `flush(${x})` : x;
    writer.setFloat(d, negate ? `-${value}` : `Math.abs(${value})`);
  } else {
    modifiers.take("ftz");
    const sign = type.endsWith("x2") ? 0x80008000 : 0x8000;
    writer.setInt(d, negate ? `${writer.int(a)}^${sign}` : `${writer.int(a)}&~${sign}`);
  }
};

export const floatMinMax: Emitter = (writer, instruction, modifiers) => {
  const { type } = modifiers;
  const name = instruction.opcode === "min" ? "minNumber" : "maxNumber";
  const plain = instruction.opcode === "min" ? "Math.min" : "Math.max";
  // .NaN: NaN wins, as in Math.min and Math.max.
  const call = modifiers.take("NaN") ? plain : name;
  const magnitude = modifiers.take("abs");
  if (modifiers.take("xorsign")) throw notImplemented(instruction, "the modifier .xorsign");
  const [d, a, b, c] = instruction.operands;
  const combine = (items: readonly string[]) => {
    const [first = "0", second = "0", third] = items.map((item) => (magnitude ? `Math.abs(${item})` : item));
    return third === undefined
      ? `${call}(${first},${second})`
      : `${call}(${call}(${first},${second}),${third})`;
  };
  if (type === "f64") {
    writer.setDouble(d, combine([writer.double(a), writer.double(b)]));
    return;
  }
  if (type !== "f32") {
    halfOperation(
      writer,
      modifiers,
      type,
      [a, b, c].filter((operand) => operand !== undefined),
      d,
      combine,
    );
    return;
  }
  const operation = new Float32Operation(writer, modifiers);
  const items = [a, b, c]
    .filter((operand) => operand !== undefined)
    .map((operand) => operation.read(operand));
  operation.write(d, combine(items));
};

/**
 * f16, bf16 and their pairs: operands are decoded, the expression is computed in f64 and rounded once. Sums and products of two are
 * exact enough in f64 for that (11 + 11 bits); a fused multiply-add is rounded to odd first.
 */
export function halfOperation(
  writer: LaneWriter,
  modifiers: Modifiers,
  type: string,
  operands: readonly Operand[],
  destination: Operand | undefined,
  combine: (items: readonly string[]) => string,
): void {
  const rounding = modifiers.oneOf(ROUNDINGS);
  if (rounding !== null && rounding !== "rn")
    throw notImplemented(modifiers.instruction, `.${rounding} of ${type}`);
  if (modifiers.take("ftz")) {
    throw notImplemented(modifiers.instruction, `.ftz of ${type}`);
  }
  const saturates = modifiers.take("sat");
  const relu = modifiers.take("relu");
  const brain = type.startsWith("bf16");
  const [decode, encode] = brain ? ["BF16", "encodeBf16"] : ["F16", "encodeF16"];
  const pair = type.endsWith("x2");
  const bits = operands.map((operand) => (pair ? writer.int(operand) : writer.short(operand)));
  const half = (pick: (item: string) => string) => {
    let value = combine(bits.map((item) => `${decode}[${pick(item)}]`));
    if (saturates) value = `saturate(${value})`;
    if (relu) value = `Math.max(0,${value})`;
    return `${encode}(${value})`;
  };
  const low = half((item) => (pair ? `${item}&65535` : item));
  writer.setInt(destination, pair ? `${low}|${half((item) => `${item}>>>16`)}<<16` : low);
}

const OPERATORS: Readonly<Record<string, string>> = { add: "+", sub: "-", mul: "*" };

export const halfArithmetic: Emitter = (writer, instruction, modifiers) => {
  const [d, ...operands] = instruction.operands;
  modifiers.take("noftz");
  const operator = OPERATORS[instruction.opcode];
  halfOperation(writer, modifiers, modifiers.type, operands, d, ([a, b, c]) =>
    operator === undefined ? `fmaToOdd(${a},${b},${c})` : `${a}${operator}${b}`,
  );
};

/** f32x2 of sm_100: two f32 in one 64-bit register. */
export const packedFloat: Emitter = (writer, instruction, modifiers) => {
  const rounding = modifiers.oneOf(ROUNDINGS);
  if (rounding !== null && rounding !== "rn") throw notImplemented(instruction, `.${rounding} of f32x2`);
  const flushes = modifiers.take("ftz");
  const [d, ...operands] = instruction.operands;
  const pairs = operands.map((operand) => writer.pair(operand));
  const word = (pick: "low" | "high") => {
    const items = pairs
      .map((pair) => `f32Of(${pair[pick]})`)
      .map((item) => (flushes ? `flush(${item})` : item));
    const [a, b, c] = items;
    const operator = OPERATORS[instruction.opcode];
    const value = operator === undefined ? `fmaF32(${a},${b},${c})` : `fround(${a}${operator}${b})`;
    return writer.temporary(`f32Bits(${flushes ? `flush(${value})` : value})`);
  };
  writer.setPair(d, word("low"), word("high"));
};

export const copysign: Emitter = (writer, instruction, modifiers) => {
  const [d, a, b] = instruction.operands;
  // copysign d, a, b: the sign of a, the magnitude of b.
  if (modifiers.type === "f64") {
    const [x, y] = [writer.pair(a), writer.pair(b)];
    writer.setPair(d, y.low, `(${y.high}&0x7fffffff)|(${x.high}&0x80000000)`);
  } else writer.setInt(d, `(${writer.int(b, true)}&0x7fffffff)|(${writer.int(a, true)}&0x80000000)`);
};

const TESTS: Readonly<Record<string, (x: string, smallest: string) => string>> = {
  finite: (x) => `Number.isFinite(${x})`,
  infinite: (x) => `Math.abs(${x})===Infinity`,
  number: (x) => `${x}===${x}`,
  notanumber: (x) => `${x}!==${x}`,
  normal: (x, smallest) => `Number.isFinite(${x})&&Math.abs(${x})>=${smallest}`,
  subnormal: (x, smallest) => `${x}!==0&&Math.abs(${x})<${smallest}`,
};

export const testp: Emitter = (writer, instruction, modifiers) => {
  const [d, a] = instruction.operands;
  const test = modifiers.oneOf(["finite", "infinite", "number", "notanumber", "normal", "subnormal"]);
  const double = modifiers.type === "f64";
  const write = TESTS[test ?? ""];
  if (write === undefined) throw notImplemented(instruction, "this test");
  const x = double ? writer.double(a) : writer.float(a);
  writer.setPredicate(d, write(x, double ? "2.2250738585072014e-308" : "1.1754943508222875e-38"));
};
