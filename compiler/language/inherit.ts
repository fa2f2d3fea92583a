import type { Reporter } from "./diagnostics.ts";
import { describeCycle, type Scope } from "./names.ts";
import type { AttentionNode, PropertyNode, SectionNode, SpecTree } from "./tree.ts";
import type { PropertyName, SectionName } from "./words.ts";

/** Something written in an attention, with the attention that wrote it. */
export interface Owned<T> {
  readonly node: T;
  readonly owner: AttentionNode;
}

/** An attention with what its bases say; no defaults yet, since they follow from what was said last. */
export interface Inherited {
  readonly node: AttentionNode;
  readonly properties: ReadonlyMap<PropertyName, Owned<PropertyNode>>;
  readonly sections: ReadonlyMap<SectionName, Owned<SectionNode>>;
  /** A base is missing, or has no valid meaning: what this attention lacks may have been meant to come from there. */
  readonly incomplete: boolean;
}

/** All attentions of a file with their bases' properties and sections, every base before what extends it. */
export function inheritAll(tree: SpecTree, scope: Scope, reporter: Reporter): readonly Inherited[] {
  const done = new Map<AttentionNode, Inherited>();
  for (const declaration of tree.declarations) {
    if (declaration.kind === "attention") inherit(declaration, done, scope, reporter);
  }
  return [...done.values()];
}

function inherit(
  start: AttentionNode,
  done: Map<AttentionNode, Inherited>,
  scope: Scope,
  reporter: Reporter,
): void {
  // A loop, not recursion: a chain of bases may be as long as a file.
  const chain = new Set<AttentionNode>();
  let node: AttentionNode | null = start;
  let base: Inherited | null = null;
  let broken = false;
  while (node !== null) {
    const known = done.get(node);
    if (known !== undefined) {
      base = known;
      break;
    }
    if (chain.has(node)) {
      const members = [...chain];
      reportCycle(members.slice(members.indexOf(node)), reporter);
      broken = true;
      break;
    }
    chain.add(node);
    const next: AttentionNode | null = baseOf(node, scope);
    broken = next === null && node.base !== null;
    node = next;
  }
  for (const member of [...chain].toReversed()) {
    base = merge(member, base, broken, reporter);
    done.set(member, base);
  }
}

function baseOf(node: AttentionNode, scope: Scope): AttentionNode | null {
  if (node.base?.kind !== "name") return null;
  const own = node.name.kind === "name" ? node.name.text : undefined;
  return scope.lookUp(node.base.text, "attention", node.base.span, "MTA203", "base", own);
}

function reportCycle(members: readonly AttentionNode[], reporter: Reporter): void {
  const [first] = members;
  if (first === undefined) return;
  reporter.report(
    "MTA204",
    first.base?.span ?? first.span,
    `attentions extend each other: ${describeCycle(members)}`,
    {
      expected: "a base that does not itself extend this attention",
    },
  );
}

function merge(node: AttentionNode, base: Inherited | null, broken: boolean, reporter: Reporter): Inherited {
  const properties = new Map(base?.properties);
  const sections = new Map(base?.sections);
  const own = new Map<string, PropertyNode | SectionNode>();
  for (const item of node.items) {
    const word = "property" in item ? item.property : item.section;
    const first = own.get(word);
    // What was misspelled before (and reported) does not count.
    if (first !== undefined && !isInvalid(first)) {
      const [code, kind] =
        "property" in item ? (["MTA210", "property"] as const) : (["MTA211", "section"] as const);
      const span = "property" in item ? item.span : item.nameSpan;
      reporter.report(
        code,
        span,
        `the ${kind} \`${word}\` is given twice, first in line ${first.span.line}`,
        {
          related: { message: "given here first", span: "section" in first ? first.nameSpan : first.span },
        },
      );
      continue;
    }
    own.set(word, item);
    if ("property" in item) properties.set(item.property, { node: item, owner: node });
    else sections.set(item.section, { node: item, owner: node });
  }
  return { node, properties, sections, incomplete: broken || (base?.incomplete ?? false) };
}

function isInvalid(item: PropertyNode | SectionNode): boolean {
  if ("section" in item) return false;
  return item.property === "mask"
    ? item.terms.every((term) => term.kind === "invalid")
    : item.value.kind === "invalid";
}
