import type { Access } from "../machine/access.ts";
import { isAtomic } from "../machine/atomic.ts";
import { isReduction } from "../machine/collective.ts";
import type { Instruction, Operand } from "../ptx/ir.ts";
import { type Modifiers, notImplemented } from "./modifiers.ts";
import { isSigned, width } from "./scalar-types.ts";

/** What the emitters of warp-wide instructions need of the kernel's translation. */
export interface WarpContext {
  /** Row that holds an operand; constants get rows of their own. */
  row(operand: Operand | undefined): number;
  /** Index of a predicate register. */
  predicate(operand: Operand | undefined): number;
  /** Address of a variable, or null. */
  symbol(name: string): bigint | null;
  /** Keeps a descriptor; the text that names it in the generated code. */
  descriptor(value: object): string;
  readonly sinkRow: number;
}

/** Text of a call for lanes `g` of warp `w`, and whether the whole warp must come together. */
export interface WarpCall {
  readonly text: string;
  readonly collective: boolean;
}

export type WarpEmitter = (
  context: WarpContext,
  instruction: Instruction,
  modifiers: Modifiers,
  id: number,
) => WarpCall;

const SPACES = ["global", "shared", "shared::cta", "local", "param", "const", "param::entry"] as const;
const ORDERINGS = ["weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio"] as const;
const SCOPES = ["cta", "cluster", "gpu", "sys"] as const;

/** Cache hints change no value: taken and forgotten. */
function takeHints(modifiers: Modifiers): boolean {
  const ordering = modifiers.oneOf(ORDERINGS);
  modifiers.oneOf(SCOPES);
  while (modifiers.takeMatching(/^(?:nc|c[aogsv]|lu|wb|wt|L[12]::[\w:]+|unified)$/) !== null);
  return ordering !== null && ordering !== "weak";
}

function takeSpace(modifiers: Modifiers): Access["space"] {
  const space = modifiers.oneOf(SPACES);
  if (space === null) return "generic";
  if (space === "const") return "global";
  if (space.startsWith("shared")) return "shared";
  if (space.startsWith("param")) return "param";
  return space as "global" | "local";
}

function registersOf(operand: Operand | undefined): readonly (Operand | undefined)[] {
  return operand?.kind === "vector" ? operand.items : [operand];
}

function accessOf(
  context: WarpContext,
  instruction: Instruction,
  address: Operand | undefined,
  id: number,
  space: Access["space"],
  shape: Pick<Access, "elementBytes" | "count" | "signed" | "rows" | "short" | "extend" | "strong">,
): Access {
  if (address?.kind !== "address") throw notImplemented(instruction, "this kind of address");
  let [low, high, offset, window] = [-1, -1, address.offset, 0];
  if (typeof address.base === "string") {
    const symbol = context.symbol(address.base);
    if (symbol === null) throw notImplemented(instruction, `an address by the unknown name ${address.base}`);
    const sum = symbol + BigInt(address.offset);
    offset = Number(BigInt.asUintN(32, sum));
    window = Number(sum >> 32n);
  } else if (address.base !== null) {
    low = address.base.row;
    if (address.base.class === "b64") high = low + 1;
  }
  const total = shape.elementBytes * shape.count;
  return { id, low, high, offset, window, space, total, ...shape };
}

/** Rows of a load's or store's registers, by 32-bit words or narrower elements. */
function dataShape(
  context: WarpContext,
  instruction: Instruction,
  operands: readonly (Operand | undefined)[],
  type: string,
  strong: boolean,
): Pick<Access, "elementBytes" | "count" | "signed" | "rows" | "short" | "extend" | "strong"> {
  const elementBytes = width(type) / 8;
  const rows: number[] = [];
  const extend: number[] = [];
  let short = false;
  for (const operand of operands) {
    const row = context.row(operand);
    const wide = operand?.kind === "register" && operand.register.class === "b64";
    if (operand?.kind === "register" && operand.register.class === "b16") short = true;
    if (elementBytes === 16) rows.push(row, row + 1, row + 2, row + 3);
    else if (elementBytes === 8) rows.push(row, operand?.kind === "sink" ? row : row + 1);
    else {
      rows.push(row);
      if (wide) extend.push(row + 1);
    }
  }
  if (
    elementBytes === 16 &&
    operands.some((operand) => operand?.kind !== "register" || operand.register.class !== "b128")
  ) {
    throw notImplemented(instruction, "a 128-bit access without a .b128 register");
  }
  return { elementBytes, count: operands.length, signed: isSigned(type), rows, short, extend, strong };
}

export const loadStore: WarpEmitter = (context, instruction, modifiers, id) => {
  const isLoad = instruction.opcode === "ld" || instruction.opcode === "ldu";
  const strong = takeHints(modifiers);
  const space = takeSpace(modifiers);
  const count = Number(modifiers.takeMatching(/^v[248]$/)?.slice(1) ?? 1);
  if (!isLoad && space === "param") throw notImplemented(instruction, "a function's parameter");
  const [first, second] = instruction.operands;
  const [address, data] = isLoad ? [second, first] : [first, second];
  const registers = registersOf(data);
  if (registers.length !== count) throw notImplemented(instruction, "a vector of this length");
  const shape = dataShape(context, instruction, registers, modifiers.type, strong);
  const access = accessOf(context, instruction, address, id, space, shape);
  return { text: `${isLoad ? "load" : "store"}(w,g,${context.descriptor(access)});`, collective: false };
};

const NO_DATA = { count: 1, signed: false, rows: [], short: false, extend: [], strong: false } as const;

export const atomicUpdate: WarpEmitter = (context, instruction, modifiers, id) => {
  takeHints(modifiers);
  modifiers.take("noftz");
  const space = takeSpace(modifiers);
  const operation =
    modifiers.oneOf(["add", "min", "max", "exch", "cas", "inc", "dec", "and", "or", "xor"]) ?? "";
  const operands = [...instruction.operands];
  const d = instruction.opcode === "atom" ? operands.shift() : undefined;
  const [address, b, c] = operands;
  const { type } = modifiers;
  const name = `${operation}.${type}`;
  if (!isAtomic(name)) throw notImplemented(instruction, `the atomic ${operation} of ${type}`);
  const shape = { ...NO_DATA, elementBytes: width(type) / 8 };
  const atomic = {
    access: accessOf(context, instruction, address, id, space, shape),
    name,
    d: d === undefined || d.kind === "sink" ? -1 : context.row(d),
    b: context.row(b),
    c: c === undefined ? -1 : context.row(c),
  };
  return { text: `atomic(w,g,${context.descriptor(atomic)});`, collective: false };
};

function cacheHint(modifiers: Modifiers): void {
  while (modifiers.takeMatching(/^L2::[\w:]+$/) !== null);
}

export const asyncCopy: WarpEmitter = (context, instruction, modifiers, id) => {
  if (!modifiers.take("async")) throw notImplemented(instruction, "this copy");
  if (modifiers.take("commit_group")) return { text: "commitCopies(w,g);", collective: false };
  if (modifiers.take("wait_all")) return { text: "waitCopies(w,g,-1);", collective: false };
  if (modifiers.take("wait_group")) {
    const [count] = instruction.operands;
    if (count?.kind !== "immediate") throw notImplemented(instruction, "a count that is no constant");
    return { text: `waitCopies(w,g,${count.bits});`, collective: false };
  }
  modifiers.oneOf(["ca", "cg"]);
  const hinted = modifiers.take("L2::cache_hint");
  cacheHint(modifiers);
  if (modifiers.oneOf(["shared", "shared::cta"]) === null || !modifiers.take("global")) {
    throw notImplemented(instruction, "this direction");
  }
  const [destination, source, size, ...rest] = instruction.operands;
  if (size?.kind !== "immediate") throw notImplemented(instruction, "a size that is no constant");
  const bytes = Number(size.bits);
  const shape = { ...NO_DATA, elementBytes: bytes };
  if (hinted) rest.pop();
  const [extra] = rest;
  const isPredicate = extra?.kind === "register" && extra.register.class === "pred";
  const copy = {
    destination: accessOf(context, instruction, destination, id, "shared", shape),
    source: accessOf(context, instruction, source, id, "global", shape),
    bytes,
    sizeRow: extra === undefined || isPredicate ? -1 : context.row(extra),
    ignore: isPredicate ? context.predicate(extra) : -1,
  };
  return { text: `issueCopies(w,g,${context.descriptor(copy)});`, collective: false };
};

export const matrixLoadStore: WarpEmitter = (context, instruction, modifiers, id) => {
  modifiers.take("sync");
  modifiers.take("aligned");
  const transposed = modifiers.take("trans");
  if (!modifiers.take("m8n8") || modifiers.type !== "b16")
    throw notImplemented(instruction, "this matrix shape");
  const count = Number(modifiers.takeMatching(/^x[124]$/)?.slice(1) ?? 0);
  const space = modifiers.oneOf(["shared", "shared::cta"]) === null ? "generic" : "shared";
  const isLoad = instruction.opcode === "ldmatrix";
  const [first, second] = instruction.operands;
  const rows = registersOf(isLoad ? first : second).map((operand) => context.row(operand));
  if (rows.length !== count) throw notImplemented(instruction, "this number of registers");
  const shape = { ...NO_DATA, elementBytes: 16, rows };
  const access = accessOf(context, instruction, isLoad ? second : first, id, space, shape);
  const name = isLoad ? "loadMatrix" : "storeMatrix";
  return { text: `${name}(w,g,${context.descriptor(access)},${transposed});`, collective: true };
};

export const matrixTranspose: WarpEmitter = (context, instruction, modifiers, id) => {
  for (const name of ["sync", "aligned", "m8n8", "trans"]) modifiers.take(name);
  const [d, a] = instruction.operands;
  return { text: `transposeMatrix(w,g,${id},${context.row(d)},${context.row(a)});`, collective: true };
};

const INPUTS = ["f16", "bf16", "tf32"] as const;

export const matrixMultiply: WarpEmitter = (context, instruction, modifiers, id) => {
  for (const name of ["sync", "aligned", "row", "col"]) modifiers.take(name);
  const shape = modifiers.oneOf(["m16n8k16", "m16n8k8", "m16n8k4"]);
  const [dType, aType, bType, cType] = modifiers.types;
  const input = INPUTS.find((name) => name === aType);
  const k = Number(shape?.slice(6) ?? 0) as 4 | 8 | 16;
  const accumulator = dType === "f32" || (dType === "f16" && aType === "f16");
  const fits = input === "tf32" ? k <= 8 : k >= 8;
  if (shape === null || input === undefined || aType !== bType || dType !== cType || !accumulator || !fits) {
    throw notImplemented(instruction, "this shape or type");
  }
  const [d, a, b, c] = instruction.operands.map((operand) =>
    registersOf(operand).map((item) => context.row(item)),
  );
  const half = dType === "f16";
  const [aCount, bCount] = input === "tf32" ? [k / 2, k / 4] : [k / 4, k / 8];
  if (
    d?.length !== (half ? 2 : 4) ||
    c?.length !== d.length ||
    a?.length !== aCount ||
    b?.length !== bCount
  ) {
    throw notImplemented(instruction, "this number of registers");
  }
  return {
    text: `multiplyMatrices(w,g,${context.descriptor({ id, k, input, half, d, a, b, c })});`,
    collective: true,
  };
};

const SHUFFLES = ["idx", "up", "down", "bfly"] as const;

export const shuffle: WarpEmitter = (context, instruction, modifiers, id) => {
  if (!modifiers.take("sync")) throw notImplemented(instruction, "shfl without .sync");
  const mode = modifiers.oneOf(SHUFFLES);
  if (mode === null) throw notImplemented(instruction, "this shuffle");
  const [target, a, b, c, members] = instruction.operands;
  const [d, p] = target?.kind === "pair" ? [target.first, target.second] : [target, undefined];
  const rows = [
    d?.kind === "sink" ? -1 : context.row(d),
    p === undefined || p.kind === "sink" ? -1 : context.predicate(p),
    ...[a, b, c, members].map((operand) => context.row(operand)),
  ];
  const text = `shuffle(w,g,${id},${SHUFFLES.indexOf(mode)},${context.descriptor(rows)});`;
  return { text, collective: true };
};

export const vote: WarpEmitter = (context, instruction, modifiers, id) => {
  if (!modifiers.take("sync")) throw notImplemented(instruction, "vote without .sync");
  const mode = modifiers.oneOf(["all", "any", "uni", "ballot"]);
  const [d, a, members] = instruction.operands;
  if (mode === null) throw notImplemented(instruction, "this vote");
  let source = "-1";
  if (a?.kind === "register") source = `${a.negated ? "~" : ""}P[${context.predicate(a)}]`;
  else if (a?.kind === "immediate" && a.bits === 0n) source = "0";
  const target = mode === "ballot" ? context.row(d) : context.predicate(d);
  const text = `vote(w,g,${id},"${mode}",${target},${source},${context.row(members)});`;
  return { text, collective: true };
};

export const match: WarpEmitter = (context, instruction, modifiers, id) => {
  modifiers.take("sync");
  const all = modifiers.oneOf(["any", "all"]) === "all";
  const [target, a, members] = instruction.operands;
  const [d, p] = target?.kind === "pair" ? [target.first, target.second] : [target, undefined];
  const row = context.row(a);
  const rows = width(modifiers.type) === 64 ? `[${row},${row + 1}]` : `[${row}]`;
  const predicate = p === undefined || p.kind === "sink" ? -1 : context.predicate(p);
  const text = `match(w,g,${id},${all},${context.row(d)},${predicate},${rows},${context.row(members)});`;
  return { text, collective: true };
};

export const reduce: WarpEmitter = (context, instruction, modifiers, id) => {
  modifiers.take("sync");
  const operation = modifiers.oneOf(["add", "min", "max", "and", "or", "xor"]) ?? "";
  const name = operation === "min" || operation === "max" ? `${operation}.${modifiers.type}` : operation;
  if (!isReduction(name) || width(modifiers.type) !== 32) throw notImplemented(instruction, "this reduction");
  const [d, a, members] = instruction.operands.map((operand) => context.row(operand));
  return { text: `reduce(w,g,${id},"${name}",${d},${a},${members});`, collective: true };
};

export const activeMask: WarpEmitter = (context, instruction) => {
  const row = context.row(instruction.operands[0]) * 32;
  return { text: `for(let l=0;l<32;l++)if(g>>>l&1)I[${row}+l]=g;`, collective: false };
};

export const warpBarrier: WarpEmitter = (context, instruction, modifiers, id) => {
  for (const name of ["warp", "sync"]) modifiers.take(name);
  return { text: `requireMembers(w,g,${context.row(instruction.operands[0])},${id});`, collective: true };
};

/** Fences order nothing here that the order of execution does not; hints change no value. */
export const nothing: WarpEmitter = (_context, _instruction, modifiers) => {
  while (modifiers.takeMatching(/^[\w:]+$/) !== null);
  return { text: "", collective: false };
};
