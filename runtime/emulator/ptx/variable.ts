import { EmulatorError } from "../errors.ts";
import type { StateSpace, Variable } from "./ir.ts";
import { parseImmediate } from "./operand.ts";

const SPACES: readonly string[] = ["global", "const", "shared", "local", "param"] satisfies StateSpace[];

export function isStateSpace(name: string): name is StateSpace {
  return SPACES.includes(name);
}

const DECLARATION = /^((?:\.\w+\s+(?:\d+\s+)?)*)([$%\w]+)((?:\s*\[\s*\d*\s*\])*)\s*(?:=\s*([\s\S]+))?$/;

/**
 * What a kernel's parameter says of the memory that it points to, `.ptr .global .align 16` (PTX ISA, "Kernel Function Parameter
 * Attribute: .ptr"): that alignment is not the parameter's own.
 */
const POINTEE = /\.ptr\s+(?:\.(?:global|const|shared|local)\s+)?(?:\.align\s+\d+\s+)?/;

/** A declaration after its state space: `.align 4 .b8 table[16] = {0, 1}`. */
export function parseVariable(space: StateSpace, text: string, line: number): Variable[] {
  const found = DECLARATION.exec(text.trim());
  if (found === null)
    throw new EmulatorError("MTA851", `PTX line ${line}: cannot read the declaration "${text}"`);
  const attributes = (found[1] ?? "").replace(POINTEE, "");
  const name = found[2] ?? "";
  const type = /\.([bsuf])(8|16|32|64|128)\b/.exec(attributes);
  const width = type === null ? 0 : Number(type[2]) / 8;
  if (width === 0) throw new EmulatorError("MTA851", `PTX line ${line}: "${name}" has no type that is known`);
  const vector = Number(/\.v([248])\b/.exec(attributes)?.[1] ?? 1);
  const align = Number(/\.align\s+(\d+)/.exec(attributes)?.[1] ?? width * vector);
  const sizes = [...(found[3] ?? "").matchAll(/\[\s*(\d*)\s*\]/g)].map((size) => size[1] ?? "");
  const initial = found[4] === undefined ? null : parseInitial(found[4], width, line);
  let elements = vector;
  for (const size of sizes) elements *= size === "" ? (initial?.length ?? 0) / width : Number(size);
  const bytes = elements * width;
  const padded = initial === null ? null : padTo(initial, bytes);
  return [{ name, space, align, bytes, initial: padded }];
}

function padTo(bytes: Uint8Array, length: number): Uint8Array {
  const padded = new Uint8Array(Math.max(length, bytes.length));
  padded.set(bytes);
  return padded;
}

function parseInitial(text: string, width: number, line: number): Uint8Array {
  const items = text.replace(/[{}]/g, " ").split(",");
  const bytes = new Uint8Array(items.length * width);
  items.forEach((item, index) => {
    const value = parseImmediate(item.trim());
    if (value?.kind !== "immediate") {
      throw new EmulatorError(
        "MTA850",
        `PTX line ${line}: the initial value "${item.trim()}" is not implemented`,
      );
    }
    for (let byte = 0; byte < width; byte++) {
      bytes[index * width + byte] = Number((value.bits >> BigInt(8 * byte)) & 0xffn);
    }
  });
  return bytes;
}
