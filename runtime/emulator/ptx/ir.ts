/** Width class of a register; f32 and s32 registers differ in no bit, so neither do they here. */
export type RegisterClass = "pred" | "b16" | "b32" | "b64" | "b128";

/** A virtual register of a kernel. Scopes are resolved: two registers of one name are two objects. */
export interface Register {
  readonly name: string;
  readonly class: RegisterClass;
  /** Predicates: index of their mask. Others: first 32-lane row; b64 takes two rows (low, high), b128 four. */
  readonly row: number;
}

export type Operand =
  | { readonly kind: "register"; readonly register: Register; readonly negated: boolean }
  | { readonly kind: "immediate"; readonly bits: bigint; readonly float: 0 | 32 | 64 }
  | { readonly kind: "symbol"; readonly name: string; readonly offset: number }
  | { readonly kind: "address"; readonly base: Register | string | null; readonly offset: number }
  | { readonly kind: "vector"; readonly items: readonly Operand[] }
  | { readonly kind: "special"; readonly name: string }
  | { readonly kind: "pair"; readonly first: Operand; readonly second: Operand }
  | { readonly kind: "sink" };

/** Where an instruction comes from: `.loc` of the line information, indexes into the module's `.file` table. */
export interface Location {
  readonly file: number;
  readonly line: number;
  readonly inlinedFile: number | null;
  readonly inlinedLine: number | null;
}

export interface Instruction {
  /** First part of the opcode: `mma`, `ld`. */
  readonly opcode: string;
  /** The other parts, in order: `["shared", "v4", "b32"]`. */
  readonly modifiers: readonly string[];
  readonly guard: { readonly register: Register; readonly negated: boolean } | null;
  readonly operands: readonly Operand[];
  readonly text: string;
  /** Line of the PTX text. */
  readonly ptxLine: number;
  readonly location: Location | null;
}

export type StateSpace = "global" | "const" | "shared" | "local" | "param";

/** A declared variable: an array of bytes in a state space. */
export interface Variable {
  readonly name: string;
  readonly space: StateSpace;
  readonly align: number;
  /** 0 for `.extern .shared x[]`. */
  readonly bytes: number;
  readonly initial: Uint8Array | null;
}

export interface ParsedKernel {
  readonly name: string;
  readonly parameters: readonly Variable[];
  readonly variables: readonly Variable[];
  readonly maxThreads: number | null;
  readonly requiredThreads: readonly [number, number, number] | null;
  readonly instructions: readonly Instruction[];
  /** Label to index of the instruction that it stands before. */
  readonly labels: ReadonlyMap<string, number>;
  /** `.branchtargets` lists of `brx.idx`. */
  readonly branchTables: ReadonlyMap<string, readonly string[]>;
  /** Rows that registers take, and number of predicates. */
  readonly rows: number;
  readonly predicates: number;
  readonly ptxLine: number;
}

export interface ParsedModule {
  /** Of `.target sm_90a`: 90; 0 where there is none. */
  readonly architecture: number;
  readonly kernels: readonly ParsedKernel[];
  readonly variables: readonly Variable[];
  readonly files: ReadonlyMap<number, string>;
}
