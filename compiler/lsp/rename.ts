import { TextDocument } from "vscode-languageserver-textdocument";
import type { Range, TextEdit } from "vscode-languageserver-types";
import { isName } from "../language/identifier.ts";
import { isKeyword } from "../language/words.ts";
import type { NameUse } from "./names.ts";
import { nameAt, sameName } from "./references.ts";
import { rangeOf, readSpec, type SpecDocument } from "./spec-document.ts";

/** Edits, or why there are none. */
export type Renaming = { readonly edits: readonly TextEdit[] } | { readonly refused: string };

/** The name that a rename at this place would change, or why none can be. */
export function renameableAt(
  spec: SpecDocument,
  offset: number,
): { readonly range: Range; readonly placeholder: string } | { readonly refused: string } {
  const use = nameAt(spec, offset);
  const refused = refusal(spec, use);
  if (use === null || refused !== null) return { refused: refused ?? NO_NAME };
  return { range: rangeOf(spec, use.span), placeholder: use.name };
}

/** Changes a name wherever it is written, if the spec then means the same. */
export function renameAt(spec: SpecDocument, offset: number, newName: string): Renaming {
  const use = nameAt(spec, offset);
  const refused = refusal(spec, use) ?? lexicalFault(newName);
  if (use === null || refused !== null) return { refused: refused ?? NO_NAME };
  if (newName === use.name) return { edits: [] };
  const uses = sameName(spec, use);
  const edits = uses.map(({ span }) => ({ range: rangeOf(spec, span), newText: newName }));
  const clash = clashAfter(spec, edits, uses.length, use.kind, newName);
  return clash === null ? { edits } : { refused: clash };
}

const NO_NAME = "only the names of attentions, constants, stacks and labels can be changed";

function refusal({ analysis }: SpecDocument, use: NameUse | null): string | null {
  if (use === null) return NO_NAME;
  if (use.kind === "knob") return `\`${use.name}\` is a name of the planner's`;
  if (use.kind === "label") return null;
  if (use.target === null) return `\`${use.name}\` is not declared in this spec`;
  const declared = analysis.tree.declarations.filter(
    (node) => node.kind !== "tune" && node.name?.kind === "name" && node.name.text === use.name,
  );
  return declared.length > 1 ? `\`${use.name}\` is declared more than once: which is meant is unclear` : null;
}

/** Only what would make another text of the spec: the checks find the rest. */
function lexicalFault(name: string): string | null {
  if (isKeyword(name)) return `\`${name}\` is a reserved word`;
  return isName(name)
    ? null
    : `\`${name}\` is no name: small letters a to z, digits and \`_\`, beginning with a letter or \`_\``;
}

/**
 * What would be wrong after the edits that was not wrong before. The compiler's own checks decide: names declared twice, names
 * that become one in TypeScript, labels that collide, and words of the planner that the new name would capture.
 */
function clashAfter(
  { text, analysis }: SpecDocument,
  edits: readonly TextEdit[],
  count: number,
  kind: NameUse["kind"],
  newName: string,
): string | null {
  const changed = TextDocument.applyEdits(text, [...edits]);
  const after = readSpec(TextDocument.create(text.uri, text.languageId, text.version, changed));
  const known = new Map<string, number>();
  for (const { code } of analysis.diagnostics) known.set(code, (known.get(code) ?? 0) + 1);
  for (const { code, message } of after.analysis.diagnostics) {
    const left = known.get(code) ?? 0;
    if (left === 0) return message;
    known.set(code, left - 1);
  }
  const uses = after.names.filter((use) => use.kind === kind && use.name === newName);
  if (kind === "declared" && uses.length !== count)
    return `\`${newName}\` stands in this spec already, and would come to mean this`;
  return null;
}
