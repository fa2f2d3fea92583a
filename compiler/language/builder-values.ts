import type { CallSite } from "./call-site.ts";
import type { Diagnostic } from "./diagnostics.ts";
import type { DeclarationNode } from "./tree.ts";
import type { StageKind } from "./words.ts";

// Registered symbols, not classes: a spec may load its own copy of mtac, whose values must still be known here.
const DECLARATION = Symbol.for("mtac.declaration");
const STAGE = Symbol.for("mtac.stage");

/** The tree of one declaration, what it refers to, and what was wrong with the arguments. */
export interface BuiltNode {
  readonly node: DeclarationNode;
  readonly references: readonly Built<"attention">[];
  readonly diagnostics: readonly Diagnostic[];
}

/** A declaration built in TypeScript. */
export interface Built<K extends "attention" | "stack" | "tune"> extends BuiltNode {
  readonly [DECLARATION]: true;
  readonly kind: K;
  readonly name: string;
}

/** A stage built in TypeScript; it gets its place in the tree from the attention that lists it. */
export interface StageValue<K extends StageKind> {
  readonly [STAGE]: true;
  readonly kind: K;
  /** The size, group or limit. Unchecked: a spec in plain JavaScript may give anything. */
  readonly required: unknown;
  readonly options: unknown;
  readonly site: CallSite | null;
}

export type AnyStage = { [K in StageKind]: StageValue<K> }[StageKind];
export type AnyBuilt = Built<"attention"> | Built<"stack"> | Built<"tune">;

export function makeBuilt<K extends "attention" | "stack" | "tune">(
  kind: K,
  name: string,
  made: BuiltNode,
): Built<K> {
  return { [DECLARATION]: true, kind, name, ...made };
}

export function stageValue<K extends StageKind>(
  kind: K,
  required: unknown,
  options: unknown,
  site: CallSite | null,
): StageValue<K> {
  return { [STAGE]: true, kind, required, options, site };
}

export function isBuilt(value: unknown): value is AnyBuilt {
  return typeof value === "object" && value !== null && DECLARATION in value;
}

export function isBuiltAttention(value: unknown): value is Built<"attention"> {
  return isBuilt(value) && value.kind === "attention";
}

export function isStage(value: unknown): value is AnyStage {
  return typeof value === "object" && value !== null && STAGE in value;
}
