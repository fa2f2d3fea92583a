import type { Instruction } from "../ptx/ir.ts";
import { convert } from "./emit-convert.ts";
import * as float from "./emit-float.ts";
import type { Emitter } from "./emit-integer.ts";
import * as integer from "./emit-integer.ts";
import * as moves from "./emit-move.ts";
import type { WarpEmitter } from "./emit-warp.ts";
import * as warp from "./emit-warp.ts";

type Family = "integer" | "float" | "half" | "packed";

function familyOf(type: string): Family {
  if (type === "f32" || type === "f64") return "float";
  if (type === "f32x2") return "packed";
  return type.startsWith("f16") || type.startsWith("bf16") ? "half" : "integer";
}

/** Emitters that depend on the type. */
const TYPED: Readonly<Record<string, Partial<Record<Family, Emitter>>>> = {
  add: {
    integer: integer.addSub,
    float: float.floatAddSub,
    half: float.halfArithmetic,
    packed: float.packedFloat,
  },
  sub: {
    integer: integer.addSub,
    float: float.floatAddSub,
    half: float.halfArithmetic,
    packed: float.packedFloat,
  },
  mul: {
    integer: integer.mulMad,
    float: float.floatMul,
    half: float.halfArithmetic,
    packed: float.packedFloat,
  },
  mad: { integer: integer.mulMad, float: float.floatFma },
  fma: { float: float.floatFma, half: float.halfArithmetic, packed: float.packedFloat },
  div: { integer: integer.divRem, float: float.floatDiv },
  min: { integer: integer.minMax, float: float.floatMinMax, half: float.floatMinMax },
  max: { integer: integer.minMax, float: float.floatMinMax, half: float.floatMinMax },
  neg: { integer: integer.negAbs, float: float.floatNegAbs, half: float.floatNegAbs },
  abs: { integer: integer.negAbs, float: float.floatNegAbs, half: float.floatNegAbs },
};

/** Lane-wise instructions that one emitter serves for every type. */
const LANEWISE: Readonly<Record<string, Emitter>> = {
  rem: integer.divRem,
  mul24: integer.mul24,
  mad24: integer.mul24,
  and: integer.logic,
  or: integer.logic,
  xor: integer.logic,
  not: integer.not,
  cnot: integer.cnot,
  shl: integer.shift,
  shr: integer.shift,
  shf: integer.funnel,
  bfe: integer.bitField,
  bfi: integer.bitField,
  popc: integer.bitCount,
  clz: integer.bitCount,
  brev: integer.bitCount,
  bfind: integer.bitCount,
  lop3: integer.lop3,
  prmt: integer.prmt,
  sad: integer.sad,
  ex2: float.floatFunction,
  lg2: float.floatFunction,
  rcp: float.floatFunction,
  sqrt: float.floatFunction,
  rsqrt: float.floatFunction,
  sin: float.floatFunction,
  cos: float.floatFunction,
  tanh: float.floatFunction,
  copysign: float.copysign,
  testp: float.testp,
  mov: moves.move,
  selp: moves.select,
  slct: moves.selectBySign,
  setp: moves.setPredicate,
  set: moves.setValue,
  cvta: moves.convertAddress,
  cvt: convert,
};

const WARPWIDE: Readonly<Record<string, WarpEmitter>> = {
  ld: warp.loadStore,
  ldu: warp.loadStore,
  st: warp.loadStore,
  atom: warp.atomicUpdate,
  red: warp.atomicUpdate,
  cp: warp.asyncCopy,
  ldmatrix: warp.matrixLoadStore,
  stmatrix: warp.matrixLoadStore,
  movmatrix: warp.matrixTranspose,
  mma: warp.matrixMultiply,
  shfl: warp.shuffle,
  vote: warp.vote,
  match: warp.match,
  redux: warp.reduce,
  activemask: warp.activeMask,
  membar: warp.nothing,
  fence: warp.nothing,
  prefetch: warp.nothing,
  prefetchu: warp.nothing,
  discard: warp.nothing,
  applypriority: warp.nothing,
  createpolicy: warp.nothing,
  nanosleep: warp.nothing,
  griddepcontrol: warp.nothing,
};

export function laneEmitter(instruction: Instruction, type: string): Emitter | null {
  const typed = TYPED[instruction.opcode];
  if (typed !== undefined) return typed[familyOf(type)] ?? null;
  return LANEWISE[instruction.opcode] ?? null;
}

export function warpEmitter(instruction: Instruction): WarpEmitter | null {
  // bar.warp.sync is an ordinary collective; the others end a basic block.
  if (instruction.opcode === "bar") return instruction.modifiers[0] === "warp" ? warp.warpBarrier : null;
  return WARPWIDE[instruction.opcode] ?? null;
}

/** Whether an instruction ends its basic block. */
export function isTerminator(instruction: Instruction): boolean {
  const { opcode, modifiers } = instruction;
  if (opcode === "bar" || opcode === "barrier") return modifiers[0] !== "warp";
  return (
    opcode === "bra" ||
    opcode === "brx" ||
    opcode === "ret" ||
    opcode === "exit" ||
    opcode === "trap" ||
    opcode === "brkpt"
  );
}

const SPECIAL = new Set(["ex2", "lg2", "rcp", "rsqrt", "sqrt", "sin", "cos", "tanh"]);
const ARITHMETIC = new Set(["add", "sub", "mul", "fma", "mad", "min", "max"]);

/** f32 operations that one lane's work of an instruction counts for. */
export function floatOperations(instruction: Instruction): number {
  if (!ARITHMETIC.has(instruction.opcode)) return 0;
  if (instruction.modifiers.includes("f32x2")) return 2;
  return instruction.modifiers.includes("f32") ? 1 : 0;
}

export function isSpecialFunction(instruction: Instruction): boolean {
  return SPECIAL.has(instruction.opcode) && !instruction.modifiers.includes("f64");
}

const SPACES = ["global", "shared", "local", "param", "const"];

/** The name under which an instruction is counted. */
export function countName(instruction: Instruction): string {
  const { opcode, modifiers } = instruction;
  const find = (pattern: RegExp) => modifiers.find((part) => pattern.test(part));
  const join = (part: string | undefined) => (part === undefined ? opcode : `${opcode}.${part}`);
  if (SPECIAL.has(opcode)) return opcode;
  switch (opcode) {
    case "mma":
      return join(find(/^m\d+n\d+k\d+$/));
    case "ldmatrix":
    case "stmatrix":
      return join(find(/^x[124]$/));
    case "ld":
    case "st":
    case "atom":
    case "red":
      return join(
        SPACES.find((space) => modifiers.some((part) => part === space || part.startsWith(`${space}::`))),
      );
    case "cp":
      return join(
        ["async", find(/^(?:commit_group|wait_group|wait_all)$/)]
          .filter((part) => part !== undefined)
          .join("."),
      );
    case "bar":
    case "barrier":
      return join(find(/^(?:sync|arrive|red|warp)$/));
    case "cvt":
    case "mov":
    case "cvta":
    case "shfl":
    case "vote":
    case "bra":
      return opcode;
    default:
      return join(find(/^(?:[subf]\d+|pred|b?f16(?:x2)?|f32x2)$/));
  }
}
