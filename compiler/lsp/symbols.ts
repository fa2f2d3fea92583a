import { type DocumentSymbol, SymbolKind } from "vscode-languageserver-types";
import type { AttentionNode, DeclarationNode } from "../language/tree.ts";
import { rangeOf, type SpecDocument } from "./spec-document.ts";

/** The declarations of a spec, with the sections and stages of its attentions: an editor's outline. */
export function symbolsOf(spec: SpecDocument): DocumentSymbol[] {
  return spec.analysis.tree.declarations.flatMap((node) => symbolOf(spec, node));
}

const KINDS = {
  attention: SymbolKind.Class,
  stack: SymbolKind.Module,
  const: SymbolKind.Constant,
  tune: SymbolKind.Event,
} as const;

function symbolOf(spec: SpecDocument, node: DeclarationNode): DocumentSymbol[] {
  if (node.kind === "unknown") return [];
  const name = node.kind === "tune" ? node.attention : node.name;
  if (name.kind === "invalid") return [];
  return [
    {
      name: name.text,
      detail: detailOf(node),
      kind: KINDS[node.kind],
      range: rangeOf(spec, node.span),
      selectionRange: rangeOf(spec, name.span),
      ...(node.kind === "attention" ? { children: sectionSymbols(spec, node) } : {}),
    },
  ];
}

function detailOf(node: Exclude<DeclarationNode, { kind: "unknown" }>): string {
  const base = node.kind === "attention" && node.base?.kind === "name" ? ` extends ${node.base.text}` : "";
  return `${node.kind}${base}`;
}

function sectionSymbols(spec: SpecDocument, node: AttentionNode): DocumentSymbol[] {
  return node.items.flatMap((item) =>
    "section" in item
      ? [
          {
            name: item.section,
            kind: SymbolKind.Namespace,
            range: rangeOf(spec, item.span),
            selectionRange: rangeOf(spec, item.nameSpan),
            children: item.stages.map((stage) => ({
              name: stage.stage,
              kind: SymbolKind.Function,
              range: rangeOf(spec, stage.span),
              selectionRange: rangeOf(spec, stage.span),
            })),
          },
        ]
      : [],
  );
}
