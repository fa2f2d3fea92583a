import { EmulatorError } from "../errors.ts";
import type { Instruction, Location, ParsedKernel, Register, RegisterClass, Variable } from "./ir.ts";
import { parseOperand, splitOperands } from "./operand.ts";

interface Range {
  readonly prefix: string;
  readonly class: RegisterClass;
  readonly count: number;
}

interface Scope {
  readonly id: number;
  readonly registers: Map<string, Register>;
  readonly ranges: Range[];
  readonly labels: Map<string, string>;
}

const CLASSES: Readonly<Record<string, RegisterClass>> = {
  pred: "pred",
  b8: "b16",
  s8: "b16",
  u8: "b16",
  b16: "b16",
  s16: "b16",
  u16: "b16",
  f16: "b16",
  bf16: "b16",
  b32: "b32",
  s32: "b32",
  u32: "b32",
  f32: "b32",
  f16x2: "b32",
  bf16x2: "b32",
  b64: "b64",
  s64: "b64",
  u64: "b64",
  f64: "b64",
  b128: "b128",
};

const ROWS: Readonly<Record<RegisterClass, number>> = { pred: 0, b16: 1, b32: 1, b64: 2, b128: 4 };

/** Rows 0, 1 and 2 of every warp hold %tid.x, .y and .z. */
export const RESERVED_ROWS = 3;

/** Collects the statements of one kernel; resolves registers by scope as it goes. */
export class KernelBody {
  readonly name: string;
  location: Location | null = null;
  private readonly scopes: Scope[] = [];
  private readonly instructions: Instruction[] = [];
  private readonly labels = new Map<string, number>();
  private readonly tables = new Map<string, readonly string[]>();
  private readonly variables: Variable[] = [];
  private rows = RESERVED_ROWS;
  private predicates = 0;
  private scopeCount = 0;

  constructor(name: string) {
    this.name = name;
  }

  get depth(): number {
    return this.scopes.length;
  }

  openScope(): void {
    this.scopes.push({ id: this.scopeCount++, registers: new Map(), ranges: [], labels: new Map() });
  }

  closeScope(): void {
    this.scopes.pop();
  }

  declareVariable(variable: Variable): void {
    this.variables.push(variable);
  }

  declareRegisters(text: string, line: number): void {
    const found = /^\.(\w+)\s+([\s\S]+)$/.exec(text.trim());
    const registerClass = CLASSES[found?.[1] ?? ""];
    const scope = this.scopes.at(-1);
    if (registerClass === undefined || scope === undefined) {
      throw new EmulatorError("MTA851", `PTX line ${line}: cannot read the registers ".reg ${text}"`);
    }
    for (const part of (found?.[2] ?? "").split(",")) {
      const range = /^([$%\w]+)\s*<\s*(\d+)\s*>$/.exec(part.trim());
      if (range === null) scope.registers.set(part.trim(), this.newRegister(part.trim(), registerClass));
      else scope.ranges.push({ prefix: range[1] ?? "", class: registerClass, count: Number(range[2]) });
    }
  }

  label(name: string): void {
    const unique = this.labels.has(name) ? `${name}#${this.scopes.at(-1)?.id}` : name;
    this.labels.set(unique, this.instructions.length);
  }

  branchTable(name: string, list: string): void {
    this.tables.set(
      name,
      list.split(",").map((label) => label.trim()),
    );
  }

  instruction(text: string, line: number): void {
    const found = /^(?:@(!?)\s*([$%\w]+)\s+)?([a-z]\w*)((?:(?:\.|::)\w+)*)\s*([\s\S]*)$/.exec(text);
    if (found === null) throw new EmulatorError("MTA851", `PTX line ${line}: cannot read "${text}"`);
    const find = (name: string) => this.find(name);
    let guard: Instruction["guard"] = null;
    if (found[2] !== undefined) {
      const register = this.find(found[2]);
      if (register?.class !== "pred") {
        throw new EmulatorError("MTA851", `PTX line ${line}: "${found[2]}" is no predicate`);
      }
      guard = { register, negated: found[1] === "!" };
    }
    const opcode = found[3] ?? "";
    if (opcode === "call") {
      throw new EmulatorError(
        "MTA850",
        `PTX line ${line}: kernel ${this.name} calls a function, not implemented: ${text.replace(/\s+/g, " ")}`,
        {
          kernel: this.name,
          remedy: "Mark device functions __forceinline__; printf and assert cannot run here.",
        },
      );
    }
    const operands = splitOperands(found[5] ?? "").map((part) => parseOperand(part, find, line));
    this.instructions.push({
      opcode,
      modifiers: (found[4] ?? "").split(".").filter((part) => part !== ""),
      guard,
      operands,
      text: text.replace(/\s+/g, " "),
      ptxLine: line,
      location: this.location,
    });
  }

  finish(
    parameters: readonly Variable[],
    maxThreads: number | null,
    requiredThreads: readonly [number, number, number] | null,
    ptxLine: number,
  ): ParsedKernel {
    return {
      name: this.name,
      parameters,
      variables: this.variables,
      maxThreads,
      requiredThreads,
      instructions: this.instructions,
      labels: this.labels,
      branchTables: this.tables,
      rows: this.rows,
      predicates: this.predicates,
      ptxLine,
    };
  }

  private newRegister(name: string, registerClass: RegisterClass): Register {
    if (registerClass === "pred") return { name, class: registerClass, row: this.predicates++ };
    const row = this.rows;
    this.rows += ROWS[registerClass];
    return { name, class: registerClass, row };
  }

  /** Registers of a range (`%r<9>`) come to be when first named: rows then lie in the order of use. */
  private find(name: string): Register | null {
    for (let index = this.scopes.length - 1; index >= 0; index--) {
      const scope = this.scopes[index];
      const found = scope?.registers.get(name);
      if (found !== undefined) return found;
      for (const range of scope?.ranges ?? []) {
        if (!name.startsWith(range.prefix)) continue;
        const suffix = name.slice(range.prefix.length);
        if (!/^\d+$/.test(suffix) || Number(suffix) >= range.count) continue;
        const register = this.newRegister(name, range.class);
        scope?.registers.set(name, register);
        return register;
      }
    }
    return null;
  }
}
