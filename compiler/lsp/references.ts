import type { Location, Range } from "vscode-languageserver-types";
import type { NameUse } from "./names.ts";
import { rangeOf, type SpecDocument, touches } from "./spec-document.ts";

/** The name under the cursor, wherever it is written. */
export function nameAt({ names }: SpecDocument, offset: number): NameUse | null {
  return names.find(({ span }) => touches(span, offset)) ?? null;
}

/** Where the name under the cursor is declared: the base of `extends`, the attention of `use` or `tune`, a constant. */
export function definitionAt(spec: SpecDocument, offset: number): Location | null {
  const use = nameAt(spec, offset);
  if (use === null || use.kind === "knob") return null;
  if (use.kind === "label") return locationOf(spec, use);
  if (use.target === null) return null;
  return { uri: spec.text.uri, range: rangeOf(spec, use.target.name.span) };
}

/** All places where the name under the cursor is written. */
export function referencesAt(spec: SpecDocument, offset: number, withDeclaration: boolean): Location[] {
  return sameName(spec, nameAt(spec, offset))
    .filter((use) => withDeclaration || !(use.kind === "declared" && use.declares))
    .map((use) => locationOf(spec, use));
}

/** The ranges of the same, for editors to mark. */
export function highlightsAt(spec: SpecDocument, offset: number): Range[] {
  return sameName(spec, nameAt(spec, offset)).map(({ span }) => rangeOf(spec, span));
}

/** Every place where the same thing is named. A label has one, since nothing in a spec refers to it. */
export function sameName({ names }: SpecDocument, use: NameUse | null): readonly NameUse[] {
  switch (use?.kind) {
    case undefined:
      return [];
    case "declared":
      return names.filter((other) => other.kind === "declared" && other.name === use.name);
    case "knob":
      return names.filter((other) => other.kind === "knob" && other.name === use.name);
    case "label":
      return [use];
  }
}

function locationOf(spec: SpecDocument, { span }: NameUse): Location {
  return { uri: spec.text.uri, range: rangeOf(spec, span) };
}
