import { EmulatorError } from "../errors.ts";
import type { Operand, Register } from "./ir.ts";

/** Finds a register by its name as seen from the statement's scope. */
export type FindRegister = (name: string) => Register | null;

const INTEGER = /^-?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?$/;
const DECIMAL = /^-?\d*\.\d+(?:[eE][-+]?\d+)?$|^-?\d+(?:\.\d*)?[eE][-+]?\d+$|^-?\d+\.$/;

const scratch = new DataView(new ArrayBuffer(8));

/** Splits at commas outside braces, brackets and parentheses. */
export function splitOperands(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === "{" || char === "[" || char === "(") depth++;
    else if (char === "}" || char === "]" || char === ")") depth--;
    else if (char === "," && depth === 0) {
      parts.push(text.slice(start, index).trim());
      start = index + 1;
    }
  }
  const last = text.slice(start).trim();
  if (last !== "" || parts.length > 0) parts.push(last);
  return parts;
}

/** Constants as PTX ISA 9.0, section 4.5, writes them. */
export function parseImmediate(text: string): Operand | null {
  if (/^-?0[fF][0-9a-fA-F]{8}$/.test(text)) {
    const bits = BigInt(`0x${text.replace(/^-?0[fF]/, "")}`);
    return { kind: "immediate", bits: text.startsWith("-") ? bits ^ 0x80000000n : bits, float: 32 };
  }
  if (/^-?0[dD][0-9a-fA-F]{16}$/.test(text)) {
    const bits = BigInt(`0x${text.replace(/^-?0[dD]/, "")}`);
    return { kind: "immediate", bits: text.startsWith("-") ? bits ^ (1n << 63n) : bits, float: 64 };
  }
  if (INTEGER.test(text)) {
    const digits = text.replace(/^-/, "").replace(/U$/, "");
    const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
    return { kind: "immediate", bits: BigInt.asUintN(64, text.startsWith("-") ? -value : value), float: 0 };
  }
  if (DECIMAL.test(text)) {
    scratch.setFloat64(0, Number(text));
    return { kind: "immediate", bits: scratch.getBigUint64(0), float: 64 };
  }
  return null;
}

export function parseOperand(text: string, find: FindRegister, line: number): Operand {
  const fail = (): never => {
    throw new EmulatorError("MTA851", `PTX line ${line}: cannot read the operand "${text}"`);
  };
  if (text === "_") return { kind: "sink" };
  if (text.startsWith("{")) {
    const items = splitOperands(text.slice(1, -1)).map((item) => parseOperand(item, find, line));
    return { kind: "vector", items };
  }
  if (text.startsWith("[")) {
    const inner = text.slice(1, text.lastIndexOf("]")).trim();
    const found = /^([%$\w.]+)\s*(?:\+\s*(-?\w+)|(-\s*\w+))?$/.exec(inner) ?? fail();
    const offsetText = (found[2] ?? found[3] ?? "0").replace(/\s/g, "");
    const offset = Number(BigInt.asIntN(64, immediateBits(offsetText) ?? fail()));
    const base = found[1] ?? fail();
    const absolute = immediateBits(base);
    if (absolute !== null) return { kind: "address", base: null, offset: Number(absolute) + offset };
    return { kind: "address", base: find(base) ?? base, offset };
  }
  if (text.includes("|")) {
    const [first, second] = text.split("|").map((part) => parseOperand(part.trim(), find, line));
    if (first === undefined || second === undefined) return fail();
    return { kind: "pair", first, second };
  }
  const negated = text.startsWith("!");
  const name = negated ? text.slice(1).trim() : text;
  const register = find(name);
  if (register !== null) return { kind: "register", register, negated };
  const immediate = parseImmediate(text);
  if (immediate !== null) return immediate;
  if (name.startsWith("%")) return { kind: "special", name };
  const symbol = /^([$\w]+)\s*(?:\+\s*(\d+))?$/.exec(text) ?? fail();
  return { kind: "symbol", name: symbol[1] ?? fail(), offset: Number(symbol[2] ?? 0) };
}

function immediateBits(text: string): bigint | null {
  const operand = parseImmediate(text);
  return operand !== null && operand.kind === "immediate" && operand.float === 0 ? operand.bits : null;
}
