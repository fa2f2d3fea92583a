import { EmulatorError } from "../errors.ts";
import type { KernelInfo, Warp } from "../machine/warp.ts";
import type { Instruction, Operand, ParsedKernel, Register } from "../ptx/ir.ts";
import { type BlockRange, localRegisters, splitBlocks } from "./blocks.ts";
import type { WarpContext } from "./emit-warp.ts";
import { LaneWriter } from "./lane-writer.ts";
import { Modifiers, notImplemented } from "./modifiers.ts";
import { floatOperations, isSpecialFunction, isTerminator, laneEmitter, warpEmitter } from "./opcodes.ts";
import { RUNTIME, RUNTIME_NAMES } from "./runtime-names.ts";
import { specialRegister } from "./special-registers.ts";

/** Runs a part of a basic block for the lanes `m` of a warp. */
export type Part = (warp: Warp, mask: number) => void;

export interface BasicBlock extends BlockRange {
  /** Whether a collective instruction is in it: the warp's other lanes are then let come first. */
  readonly collective: boolean;
  full: readonly Part[];
  masked: readonly Part[];
}

export interface CompiledKernel extends KernelInfo {
  readonly blocks: readonly BasicBlock[];
  readonly rows: number;
  readonly staticShared: number;
  /** Smallest access to shared memory in bytes: the granule of its shadow. */
  readonly granule: number;
}

export interface Symbols {
  find(name: string): bigint | null;
}

/** A run of lane-wise instructions is cut after this many: the engine optimises small functions better. */
const RUN_LENGTH = 96;
/** Calls and runs in one generated function. */
const PART_LENGTH = 24;

/** Rows of constants that warp-wide instructions take as operands, and what else they need. */
class KernelContext implements WarpContext {
  readonly sinkRow: number;
  readonly descriptors: object[] = [];
  readonly constants: { row: number; value: number }[] = [];
  rows: number;
  private readonly symbols: Symbols;

  constructor(parsed: ParsedKernel, symbols: Symbols) {
    this.sinkRow = parsed.rows;
    // Two rows: a sink may stand for a 64-bit register.
    this.rows = parsed.rows + 2;
    this.symbols = symbols;
  }

  row(operand: Operand | undefined): number {
    if (operand?.kind === "register") return operand.register.row;
    if (operand?.kind === "sink") return this.sinkRow;
    if (operand?.kind === "immediate") {
      const low = this.constant(Number(BigInt.asIntN(32, operand.bits)));
      this.constant(Number(BigInt.asIntN(32, operand.bits >> 32n)));
      return low;
    }
    throw new EmulatorError(
      "MTA850",
      `an operand of kind ${operand?.kind ?? "none"} is not implemented here`,
    );
  }

  private constant(value: number): number {
    const row = this.rows++;
    this.constants.push({ row, value });
    return row;
  }

  predicate(operand: Operand | undefined): number {
    if (operand?.kind === "register" && operand.register.class === "pred") return operand.register.row;
    throw new EmulatorError("MTA851", "an operand is no predicate");
  }

  symbol(name: string): bigint | null {
    return this.symbols.find(name);
  }

  descriptor(value: object): string {
    this.descriptors.push(value);
    return `A[${this.descriptors.length - 1}]`;
  }
}

function laneWise(instruction: Instruction): boolean {
  return !isTerminator(instruction) && warpEmitter(instruction) === null;
}

/** Numbers the runs of lane-wise instructions; every other instruction is a run of its own. */
function numberRuns(parsed: ParsedKernel, ranges: readonly BlockRange[]): Int32Array {
  const runOf = new Int32Array(parsed.instructions.length);
  let run = 0;
  for (const range of ranges) {
    let length = 0;
    for (let id = range.first; id < range.last; id++) {
      const instruction = parsed.instructions[id];
      const joins = instruction !== undefined && laneWise(instruction);
      if (!joins || length === 0 || length >= RUN_LENGTH) {
        run++;
        length = 0;
      }
      if (joins) length++;
      runOf[id] = run;
    }
    run++;
  }
  return runOf;
}

function unsupported(kernel: string, instruction: Instruction, error: unknown): never {
  if (error instanceof EmulatorError && error.kernel === null) {
    const text = error.message.includes("PTX line")
      ? error.message
      : `PTX line ${instruction.ptxLine}: ${error.message}: ${instruction.text}`;
    throw new EmulatorError(error.code === "MTA851" ? "MTA851" : "MTA850", `kernel ${kernel}, ${text}`, {
      kernel,
    });
  }
  throw error;
}

/** Writes the parts of every block; throws MTA850 for what is not implemented. */
class BlockWriter {
  private readonly parsed: ParsedKernel;
  private readonly context: KernelContext;
  private readonly symbols: Symbols;
  private readonly runOf: Int32Array;
  private readonly locals: Set<Register>;

  constructor(parsed: ParsedKernel, context: KernelContext, symbols: Symbols, ranges: readonly BlockRange[]) {
    this.parsed = parsed;
    this.context = context;
    this.symbols = symbols;
    this.runOf = numberRuns(parsed, ranges);
    this.locals = localRegisters(parsed.instructions, this.runOf);
    for (const instruction of parsed.instructions) {
      const counted = floatOperations(instruction) > 0 || isSpecialFunction(instruction);
      if (instruction.guard !== null && counted) this.locals.delete(instruction.guard.register);
    }
  }

  /** Source texts of a block's parts. */
  write(range: BlockRange): { parts: string[]; collective: boolean } {
    const items: string[] = [];
    let collective = range.terminator.kind === "barrier";
    for (let id = range.first; id < range.last; ) {
      const instruction = this.parsed.instructions[id];
      if (instruction === undefined || isTerminator(instruction)) break;
      if (laneWise(instruction)) {
        const run = this.runOf[id];
        const writer = new LaneWriter(specialRegister, (name) => this.symbols.find(name));
        const tallies: string[] = [];
        for (; id < range.last && this.runOf[id] === run; id++) {
          const next = this.parsed.instructions[id];
          if (next === undefined) break;
          this.writeLane(writer, next);
          tallies.push(this.guardedTally(next));
        }
        // Guards are counted before the loop may change them; guards set inside it are rare enough to be counted after.
        items.push(`${writer.finish((register) => !this.locals.has(register))}\n${tallies.join("")}`);
        continue;
      }
      const call = this.writeCall(instruction, id);
      if (call.collective) collective = true;
      if (call.text !== "") items.push(call.text);
      id++;
    }
    const parts: string[] = [];
    for (let at = 0; at < items.length; at += PART_LENGTH)
      parts.push(items.slice(at, at + PART_LENGTH).join("\n"));
    return { parts, collective };
  }

  private guardedTally(instruction: Instruction): string {
    const { guard } = instruction;
    if (guard === null) return "";
    const active = `popc32(m&${guard.negated ? "~" : ""}P[${guard.register.row}])`;
    const fma = floatOperations(instruction);
    if (fma > 0) return `w.cta.tally.guardedFma+=${fma}*${active};`;
    return isSpecialFunction(instruction) ? `w.cta.tally.guardedSpecial+=${active};` : "";
  }

  private writeLane(writer: LaneWriter, instruction: Instruction): void {
    try {
      const modifiers = new Modifiers(instruction);
      const emitter = laneEmitter(instruction, modifiers.types.at(-1) ?? "");
      if (emitter === null) throw notImplemented(instruction, `the opcode ${instruction.opcode}`);
      writer.emit(instruction, () => emitter(writer, instruction, modifiers));
      modifiers.finish();
    } catch (error) {
      unsupported(this.parsed.name, instruction, error);
    }
  }

  private writeCall(instruction: Instruction, id: number): { text: string; collective: boolean } {
    try {
      const modifiers = new Modifiers(instruction);
      const emitter = warpEmitter(instruction);
      if (emitter === null) throw notImplemented(instruction, `the opcode ${instruction.opcode}`);
      const call = emitter(this.context, instruction, modifiers, id);
      modifiers.finish();
      if (call.text === "") return call;
      const { guard } = instruction;
      if (guard === null) return { ...call, text: `{const g=m;${call.text}}` };
      const mask = `m&${guard.negated ? "~" : ""}P[${guard.register.row}]`;
      return { ...call, text: `{const g=${mask};if(g!==0){${call.text}}}` };
    } catch (error) {
      unsupported(this.parsed.name, instruction, error);
    }
  }
}

const PROLOGUE = "const I=w.I,F=w.F,P=w.P,S=w.cta.specials;";

function functionText(part: string, full: boolean): string {
  const body = part
    .replaceAll("/*mask*/", full ? "" : "if((m>>>l&1)===0)continue;")
    .replace(/\/\*old (\d+)\*\//g, full ? "" : "P[$1]&~m|");
  return `function(w,m){${PROLOGUE}\n${body}\n}`;
}

/** Compiles the texts of one variant; blocks whose function is never called cost the engine a scan of their text. */
function compile(
  texts: readonly (readonly string[])[],
  full: boolean,
  descriptors: readonly object[],
): Part[][] {
  const blocks = texts.map((parts) => `[${parts.map((part) => functionText(part, full)).join(",\n")}]`);
  const source = `"use strict";const {${RUNTIME_NAMES.join(",")}}=X;return [${blocks.join(",\n")}];`;
  return new Function("X", "A", source)(RUNTIME, descriptors) as Part[][];
}

function smallestSharedAccess(parsed: ParsedKernel): number {
  let smallest = 4;
  for (const { opcode, modifiers } of parsed.instructions) {
    if (!/^(?:ld|st|atom|red)$/.test(opcode)) continue;
    if (modifiers.some((part) => /^(?:global|param|const|local)/.test(part))) continue;
    const type = modifiers.find((part) => /^[busf](?:8|16)$|^bf16$/.test(part));
    if (type !== undefined) smallest = Math.min(smallest, type.endsWith("8") ? 1 : 2);
  }
  return smallest;
}

/** Translates a kernel: basic blocks of JavaScript functions that run one warp. */
export function compileKernel(
  parsed: ParsedKernel,
  files: ReadonlyMap<number, string>,
  symbols: Symbols,
  given: { readonly localBytes: number; readonly staticShared: number; readonly architecture: number },
): CompiledKernel {
  const ranges = splitBlocks(parsed);
  const context = new KernelContext(parsed, symbols);
  const writer = new BlockWriter(parsed, context, symbols, ranges);
  const written = ranges.map((range) => writer.write(range));
  const texts = written.map(({ parts }) => parts);
  let compiled: { full: Part[][]; masked: Part[][] } | null = null;
  const variants = () => {
    compiled ??= {
      full: compile(texts, true, context.descriptors),
      masked: compile(texts, false, context.descriptors),
    };
    return compiled;
  };
  const blocks = ranges.map((range, index) => ({
    ...range,
    collective: written[index]?.collective ?? false,
    get full() {
      return variants().full[index] ?? [];
    },
    get masked() {
      return variants().masked[index] ?? [];
    },
  }));
  for (const instruction of parsed.instructions) {
    if (isTerminator(instruction)) checkTerminator(parsed.name, instruction);
  }
  return {
    name: parsed.name,
    parsed,
    files,
    blocks,
    rows: context.rows,
    constants: context.constants,
    ...given,
    granule: smallestSharedAccess(parsed),
  };
}

const BARRIER_MODIFIERS = /^(?:sync|arrive|red|aligned|cta|popc|and|or|u32|pred)$/;

function checkTerminator(kernel: string, instruction: Instruction): void {
  const unknown = instruction.modifiers.find(
    (part) => !BARRIER_MODIFIERS.test(part) && part !== "uni" && part !== "idx",
  );
  if (unknown === undefined) return;
  throw new EmulatorError(
    "MTA850",
    `kernel ${kernel}, PTX line ${instruction.ptxLine}: the modifier .${unknown} is not implemented: ${instruction.text}`,
    { kernel },
  );
}
