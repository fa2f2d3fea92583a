import { EmulatorError } from "../errors.ts";
import type { Instruction, Operand, Register } from "../ptx/ir.ts";

/** Forms in which a lane's register is at hand as a local of the generated loop. */
interface Forms {
  /** `i` for 16 and 32 bits, `l` and `h` for 64. */
  bits: boolean;
  /** `f` for 32 bits, `d` for 64. */
  float: boolean;
  dirty: boolean;
}

const scratch = new DataView(new ArrayBuffer(8));

/** Bits of an immediate as a 32-bit (float) operand takes them. */
function immediate32(operand: Extract<Operand, { kind: "immediate" }>, asFloat: boolean): number {
  if (operand.float === 64 && asFloat) {
    scratch.setBigUint64(0, operand.bits);
    scratch.setFloat32(0, scratch.getFloat64(0));
    return scratch.getInt32(0);
  }
  return Number(BigInt.asIntN(32, operand.bits));
}

function numberText(value: number): string {
  if (Object.is(value, -0)) return "(-0)";
  if (Number.isNaN(value)) return "NaN";
  if (value === Number.POSITIVE_INFINITY) return "Infinity";
  if (value === Number.NEGATIVE_INFINITY) return "(-Infinity)";
  return value < 0 ? `(${value})` : `${value}`;
}

/**
 * Writes one JavaScript loop over the lanes for a run of lane-wise instructions. Registers that the run touches live in locals
 * inside the loop: read from the register file at first use, written back at its end where anything outside reads them.
 */
export class LaneWriter {
  private readonly lines: string[] = [];
  private readonly names = new Set<string>();
  private readonly before = new Set<string>();
  private readonly values = new Map<Register, Forms>();
  private readonly predicates = new Map<Register, { dirty: boolean }>();
  private pending: string[] = [];
  private guarded: string | null = null;
  private temporaries = 0;
  private readonly specials: (name: string) => string | null;
  private readonly symbols: (name: string) => bigint | null;
  private instruction: Instruction | null = null;

  constructor(specials: (name: string) => string | null, symbols: (name: string) => bigint | null) {
    this.specials = specials;
    this.symbols = symbols;
  }

  /** Runs an emitter for an instruction under its guard. */
  emit(instruction: Instruction, emitter: (writer: LaneWriter) => void): void {
    this.instruction = instruction;
    this.pending = [];
    const guard = instruction.guard;
    this.guarded =
      guard === null ? null : `${guard.negated ? "!" : ""}${this.predicateLocal(guard.register)}`;
    emitter(this);
    if (this.guarded === null) this.lines.push(...this.pending);
    else if (this.pending.length > 0) this.lines.push(`if(${this.guarded}){${this.pending.join("")}}`);
  }

  temporary(expression: string): string {
    const name = `t${this.temporaries++}`;
    this.lines.push(`const ${name}=${expression};`);
    return name;
  }

  private fail(what: string): never {
    const found = this.instruction;
    throw new EmulatorError("MTA851", `PTX line ${found?.ptxLine}: ${what}: ${found?.text}`);
  }

  private forms(register: Register): Forms {
    let forms = this.values.get(register);
    if (forms === undefined) {
      forms = { bits: false, float: false, dirty: false };
      this.values.set(register, forms);
    }
    return forms;
  }

  private local(name: string): string {
    this.names.add(name);
    return name;
  }

  private bitsLocal(register: Register): string {
    const forms = this.forms(register);
    const at = `${register.row * 32}+l`;
    if (register.class === "b64") {
      const [low, high] = [this.local(`l${register.row}`), this.local(`h${register.row}`)];
      if (!forms.bits) {
        this.lines.push(
          forms.float
            ? `${low}=f64Low(d${register.row});${high}=f64High(d${register.row});`
            : `${low}=I[${at}];${high}=I[${(register.row + 1) * 32}+l];`,
        );
      }
      forms.bits = true;
      return low;
    }
    const name = this.local(`i${register.row}`);
    if (!forms.bits)
      this.lines.push(forms.float ? `F[${at}]=f${register.row};${name}=I[${at}];` : `${name}=I[${at}];`);
    forms.bits = true;
    return name;
  }

  private floatLocal(register: Register): string {
    const forms = this.forms(register);
    const at = `${register.row * 32}+l`;
    if (register.class === "b64") {
      const name = this.local(`d${register.row}`);
      if (!forms.float) {
        const low = this.bitsLocal(register);
        this.lines.push(`${name}=f64Of(${low},h${register.row});`);
      }
      forms.float = true;
      return name;
    }
    const name = this.local(`f${register.row}`);
    if (!forms.float)
      this.lines.push(forms.bits ? `I[${at}]=i${register.row};${name}=F[${at}];` : `${name}=F[${at}];`);
    forms.float = true;
    return name;
  }

  private predicateLocal(register: Register): string {
    const name = this.local(`q${register.row}`);
    if (!this.predicates.has(register)) {
      this.predicates.set(register, { dirty: false });
      // `var`: a function may hold several loops over lanes, each with its own reading of the predicate.
      this.before.add(`var P${register.row}=P[${register.row}];`);
      this.lines.push(`${name}=(P${register.row}>>>l&1)!==0;`);
    }
    return name;
  }

  /** Whether a register is at hand as a float and not as bits: moving it so spares a conversion. */
  heldAsFloat(operand: Operand): boolean {
    if (operand.kind === "immediate") return operand.float === 32;
    if (operand.kind !== "register") return false;
    const forms = this.values.get(operand.register);
    return operand.register.class === "b32" && forms?.float === true && !forms.bits;
  }

  /** 32-bit value as a signed integer expression; a 64-bit register gives its low word. */
  int(operand: Operand | undefined, asFloat = false): string {
    switch (operand?.kind) {
      case "register":
        return this.bitsLocal(operand.register);
      case "immediate": {
        const value = immediate32(operand, asFloat);
        return value < 0 ? `(${value})` : `${value}`;
      }
      case "special":
        return this.special(operand.name);
      case "symbol":
        return `${Number(BigInt.asIntN(32, this.symbol(operand)))}`;
      default:
        return this.fail("an operand cannot be read as an integer");
    }
  }

  /** 16-bit value, zero-extended. */
  short(operand: Operand | undefined): string {
    if (operand?.kind === "immediate") return `${Number(operand.bits & 0xffffn)}`;
    const value = this.int(operand);
    return operand?.kind === "register" && operand.register.class === "b16" ? value : `(${value}&65535)`;
  }

  float(operand: Operand | undefined): string {
    if (operand?.kind === "register") return this.floatLocal(operand.register);
    if (operand?.kind === "immediate") {
      scratch.setInt32(0, immediate32(operand, true));
      return numberText(scratch.getFloat32(0));
    }
    return this.fail("an operand cannot be read as f32");
  }

  double(operand: Operand | undefined): string {
    if (operand?.kind === "register") return this.floatLocal(operand.register);
    if (operand?.kind === "immediate") {
      scratch.setBigUint64(0, BigInt.asUintN(64, operand.bits));
      return numberText(operand.float === 32 ? scratch.getFloat32(4) : scratch.getFloat64(0));
    }
    return this.fail("an operand cannot be read as f64");
  }

  /** Low and high word of a 64-bit value; a narrower register is extended with zeros or its sign. */
  pair(operand: Operand | undefined, signed = false): { low: string; high: string } {
    if (operand?.kind === "immediate") {
      const low = Number(BigInt.asIntN(32, operand.bits));
      const high = Number(BigInt.asIntN(32, operand.bits >> 32n));
      return { low: low < 0 ? `(${low})` : `${low}`, high: high < 0 ? `(${high})` : `${high}` };
    }
    if (operand?.kind === "symbol") {
      const value = this.symbol(operand);
      return {
        low: `${Number(BigInt.asIntN(32, value))}`,
        high: `${Number(BigInt.asIntN(32, value >> 32n))}`,
      };
    }
    if (operand?.kind === "register" && operand.register.class === "b64") {
      return { low: this.bitsLocal(operand.register), high: `h${operand.register.row}` };
    }
    if (operand?.kind === "special" && (operand.name === "%clock64" || operand.name === "%globaltimer")) {
      return { low: this.special(operand.name), high: "0" };
    }
    const low = this.int(operand);
    return { low, high: signed ? `(${low}>>31)` : "0" };
  }

  predicate(operand: Operand | undefined): string {
    if (operand?.kind === "register" && operand.register.class === "pred") {
      return `${operand.negated ? "!" : ""}${this.predicateLocal(operand.register)}`;
    }
    if (operand?.kind === "immediate") return operand.bits === 0n ? "false" : "true";
    return this.fail("an operand is no predicate");
  }

  private special(name: string): string {
    return this.specials(name) ?? this.fail(`the special register ${name} is unknown`);
  }

  private symbol(operand: Extract<Operand, { kind: "symbol" }>): bigint {
    const address = this.symbols(operand.name);
    if (address === null) return this.fail(`"${operand.name}" is unknown`);
    return address + BigInt(operand.offset);
  }

  /** The destination register, or null for the sink. */
  private destination(operand: Operand | undefined): Register | null {
    if (operand?.kind === "sink") return null;
    if (operand?.kind !== "register") return this.fail("the destination is no register");
    return operand.register;
  }

  setInt(operand: Operand | undefined, expression: string, signed = true): void {
    const register = this.destination(operand);
    if (register === null) return;
    if (register.class === "b64") {
      const low = this.temporary(`(${expression})|0`);
      this.setPair(operand, low, signed ? `${low}>>31` : "0");
      return;
    }
    if (this.guarded !== null) this.bitsLocal(register);
    const forms = this.forms(register);
    const name = this.local(`i${register.row}`);
    this.pending.push(
      register.class === "b16" ? `${name}=(${expression})&65535;` : `${name}=(${expression})|0;`,
    );
    forms.bits = true;
    forms.float = false;
    forms.dirty = true;
  }

  setFloat(operand: Operand | undefined, expression: string): void {
    const register = this.destination(operand);
    if (register === null) return;
    if (this.guarded !== null) this.floatLocal(register);
    const forms = this.forms(register);
    this.pending.push(`${this.local(`f${register.row}`)}=${expression};`);
    forms.bits = false;
    forms.float = true;
    forms.dirty = true;
  }

  setDouble(operand: Operand | undefined, expression: string): void {
    const register = this.destination(operand);
    if (register === null) return;
    if (this.guarded !== null) this.floatLocal(register);
    const forms = this.forms(register);
    this.pending.push(`${this.local(`d${register.row}`)}=${expression};`);
    forms.bits = false;
    forms.float = true;
    forms.dirty = true;
  }

  /** Both words must be expressions that do not read the destination after its first word is set: pass temporaries. */
  setPair(operand: Operand | undefined, low: string, high: string): void {
    const register = this.destination(operand);
    if (register === null) return;
    if (register.class !== "b64") {
      this.setInt(operand, low);
      return;
    }
    if (this.guarded !== null) this.bitsLocal(register);
    const forms = this.forms(register);
    const names = [this.local(`l${register.row}`), this.local(`h${register.row}`)];
    const [lowValue, highValue] = [this.temporary(`(${low})|0`), this.temporary(`(${high})|0`)];
    this.pending.push(`${names[0]}=${lowValue};${names[1]}=${highValue};`);
    forms.bits = true;
    forms.float = false;
    forms.dirty = true;
  }

  setPredicate(operand: Operand | undefined, expression: string): void {
    const register = this.destination(operand);
    if (register === null) return;
    if (register.class !== "pred") this.fail("the destination is no predicate");
    if (this.guarded !== null) this.predicateLocal(register);
    this.pending.push(`${this.local(`q${register.row}`)}=${expression};`);
    this.predicates.set(register, { dirty: true });
  }

  /** The loop's text; `outside` says whether anything but this run reads a register. */
  finish(outside: (register: Register) => boolean): string {
    const stores: string[] = [];
    for (const [register, forms] of this.values) {
      if (!forms.dirty || !outside(register)) continue;
      const at = `${register.row * 32}+l`;
      if (register.class === "b64") {
        const low = forms.bits ? `l${register.row}` : `f64Low(d${register.row})`;
        const high = forms.bits ? `h${register.row}` : `f64High(d${register.row})`;
        stores.push(`I[${at}]=${low};I[${(register.row + 1) * 32}+l]=${high};`);
      } else stores.push(forms.bits ? `I[${at}]=i${register.row};` : `F[${at}]=f${register.row};`);
    }
    const masks: number[] = [];
    for (const [register, { dirty }] of this.predicates) {
      if (!dirty || !outside(register)) continue;
      masks.push(register.row);
      stores.push(`p${register.row}|=(q${register.row}?1:0)<<l;`);
    }
    const locals = [...this.names].map((name) =>
      /^[fd]/.test(name) ? `${name}=0.5` : name[0] === "q" ? `${name}=false` : `${name}=0`,
    );
    return [
      ...this.before,
      // `var` here too: several loops of one function may set one predicate.
      ...masks.map((row) => `var p${row}=0;`),
      "for(let l=0;l<32;l++){/*mask*/",
      locals.length === 0 ? "" : `let ${locals.join(",")};`,
      ...this.lines,
      ...stores,
      "}",
      ...masks.map((row) => `P[${row}]=/*old ${row}*/p${row};`),
    ].join("\n");
  }
}
