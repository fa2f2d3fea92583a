import { EmulatorError } from "../errors.ts";
import type { Instruction, Operand, ParsedKernel, Register } from "../ptx/ir.ts";
import { countName, floatOperations, isSpecialFunction, isTerminator } from "./opcodes.ts";

/** How a basic block goes on. Blocks are numbered in the order of the text. */
export type Terminator =
  | { readonly kind: "fall" }
  | { readonly kind: "branch"; readonly target: number }
  | { readonly kind: "table"; readonly index: Operand; readonly targets: readonly number[] }
  | { readonly kind: "exit" }
  | { readonly kind: "trap" }
  | { readonly kind: "barrier" };

/** Instructions `first` … `last` (exclusive), the terminator among them if it is one of the text's. */
export interface BlockRange {
  readonly first: number;
  readonly last: number;
  readonly terminator: Terminator;
  readonly terminatorId: number;
  readonly counts: ReadonlyMap<string, number>;
  /** Work of one lane in the block's unguarded instructions. */
  readonly laneFma: number;
  readonly laneSpecial: number;
}

function labelBlock(
  parsed: ParsedKernel,
  starts: ReadonlyMap<number, number>,
  name: string,
  at: Instruction,
): number {
  const index = parsed.labels.get(name);
  const block = index === undefined ? undefined : starts.get(index);
  if (block === undefined) {
    throw new EmulatorError(
      "MTA851",
      `PTX line ${at.ptxLine}: the label ${name} is not in kernel ${parsed.name}`,
    );
  }
  return block;
}

function terminatorOf(
  parsed: ParsedKernel,
  starts: ReadonlyMap<number, number>,
  at: Instruction,
): Terminator {
  const [first, second] = at.operands;
  switch (at.opcode) {
    case "bra":
      if (first?.kind !== "symbol") break;
      return { kind: "branch", target: labelBlock(parsed, starts, first.name, at) };
    case "brx": {
      const table = second?.kind === "symbol" ? parsed.branchTables.get(second.name) : undefined;
      if (first === undefined || table === undefined) break;
      return {
        kind: "table",
        index: first,
        targets: table.map((name) => labelBlock(parsed, starts, name, at)),
      };
    }
    case "ret":
    case "exit":
      return { kind: "exit" };
    case "trap":
    case "brkpt":
      return { kind: "trap" };
    case "bar":
    case "barrier":
      return { kind: "barrier" };
  }
  throw new EmulatorError("MTA851", `PTX line ${at.ptxLine}: cannot read the branch "${at.text}"`);
}

/** Splits a kernel into basic blocks: at labels, and after whatever ends one. */
export function splitBlocks(parsed: ParsedKernel): BlockRange[] {
  const { instructions } = parsed;
  const leaders = new Set<number>([0, ...parsed.labels.values()]);
  instructions.forEach((instruction, index) => {
    if (isTerminator(instruction)) leaders.add(index + 1);
  });
  leaders.delete(instructions.length);
  const order = [...leaders].sort((a, b) => a - b);
  const starts = new Map(order.map((first, index) => [first, index]));
  // A label at the very end stands before the implicit exit.
  starts.set(instructions.length, order.length);
  const ranges = order.map((first, index) => {
    const last = order[index + 1] ?? instructions.length;
    const end = instructions[last - 1];
    const ends = end !== undefined && isTerminator(end);
    const terminator: Terminator = ends ? terminatorOf(parsed, starts, end) : { kind: "fall" };
    return {
      first,
      last,
      terminator,
      terminatorId: ends ? last - 1 : -1,
      ...countBlock(instructions.slice(first, last)),
    };
  });
  const end = instructions.length;
  const implicit = { counts: new Map<string, number>(), laneFma: 0, laneSpecial: 0 };
  return [...ranges, { first: end, last: end, terminator: { kind: "exit" }, terminatorId: -1, ...implicit }];
}

function countBlock(instructions: readonly Instruction[]) {
  const counts = new Map<string, number>();
  let laneFma = 0;
  let laneSpecial = 0;
  for (const instruction of instructions) {
    const name = countName(instruction);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (instruction.guard !== null) continue;
    laneFma += floatOperations(instruction);
    if (isSpecialFunction(instruction)) laneSpecial++;
  }
  return { counts, laneFma, laneSpecial };
}

/** Registers that an operand names. */
export function registersIn(operand: Operand): Register[] {
  switch (operand.kind) {
    case "register":
      return [operand.register];
    case "vector":
      return operand.items.flatMap(registersIn);
    case "pair":
      return [...registersIn(operand.first), ...registersIn(operand.second)];
    case "address":
      return operand.base !== null && typeof operand.base !== "string" ? [operand.base] : [];
    default:
      return [];
  }
}

/**
 * Registers that live in one run of instructions alone: all their occurrences are there, and the first is an unguarded definition,
 * so nothing comes in and nothing goes out. `runOf` gives each instruction's run, or a number of its own.
 */
export function localRegisters(instructions: readonly Instruction[], runOf: Int32Array): Set<Register> {
  const seen = new Map<Register, number>();
  const shared = new Set<Register>();
  const visit = (register: Register, run: number, definition: boolean) => {
    const found = seen.get(register);
    if (found === undefined) {
      seen.set(register, run);
      if (!definition) shared.add(register);
    } else if (found !== run) shared.add(register);
  };
  instructions.forEach((instruction, index) => {
    const run = runOf[index] as number;
    const [target, ...sources] = instruction.operands;
    if (instruction.guard !== null) visit(instruction.guard.register, run, false);
    for (const source of sources) for (const register of registersIn(source)) visit(register, run, false);
    if (target === undefined) return;
    const definition = instruction.guard === null && target.kind !== "address";
    for (const register of registersIn(target)) visit(register, run, definition);
  });
  return new Set([...seen.keys()].filter((register) => !shared.has(register)));
}
