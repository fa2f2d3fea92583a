import type { BufferBinding, Operand, Plan, Target } from "../../../runtime/contract/index.ts";
import type { Language, SharingLanguage } from "../template-library.ts";
import type { ExpressionDialect } from "./expression.ts";

/** Types of constants and of the launch block's fields, as every language has them under one name or another. */
export type ScalarType = "i32" | "u32" | "f32" | "bool";

/** A named value of a kernel's text. */
export interface Constant {
  readonly type: ScalarType;
  readonly name: string;
  /** A value, or an expression over other constants. */
  readonly value: number | boolean | string;
  /** Stands over the declaration; one that follows without a comment of its own belongs to it. */
  readonly comment?: string;
}

/**
 * How a language writes what models hold and templates do not: everything that differs from one target's kernels to another's
 * beside the text of the templates themselves.
 */
export interface Dialect {
  readonly target: Target;
  /** The folder of its templates, with `partials`; scalar kernels' templates are `kernels` inside it. */
  readonly language: Language;
  /** Of its files. */
  readonly extension: string;
  /** Set where all kernels of a plan are one file, which its templates `preamble` and `source` put together; else each is one. */
  readonly sharing: SharingLanguage | null;
  /** What the language calls the invocations that share memory, and that memory: for comments. */
  readonly words: { readonly group: string; readonly threads: string; readonly memory: string };
  /** How it writes sums and choices. */
  readonly expressions: ExpressionDialect;
  /** What `visible` compares: the name of its key or keys, and how a number of the row stands beside that. */
  readonly pair: { readonly key: string; wide(scalar: string): string };
  /** A value in the language's notation. */
  literal(type: ScalarType, value: number | boolean): string;
  /** A declaration of the launch block. */
  field(name: string, type: ScalarType): string;
  /** A line that declares a constant. */
  constant(name: string, type: ScalarType, value: string): string;
  /** What a kernel's text declares for a binding. */
  binding(binding: BufferBinding, operand: Operand, plan: Plan): string;
}

/** Digits of a float, always with a point or an exponent. */
export function floatDigits(value: number): string {
  const text = String(value).replace("e+", "e");
  return /[.e]/.test(text) ? text : `${text}.0`;
}
