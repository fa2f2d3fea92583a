import type { Span } from "./attention.ts";
import { didYouMean } from "./build-context.ts";
import type { DiagnosticCode, DiagnosticExtras, Reporter } from "./diagnostics.ts";
import { camelCase } from "./identifier.ts";
import { suggest } from "./suggest.ts";
import type { AttentionNode, ConstNode, DeclarationNode, Name, SpecTree, StackNode } from "./tree.ts";
import { wordList } from "./words.ts";

/** Longer lists of names help nobody. */
const MOST_LISTED = 12;

type Named = AttentionNode | ConstNode | StackNode;

/** Each guess compares an unknown name with all that are declared: thousands of both would take a minute. */
const MAX_COMPARISONS = 50_000;

/** All names of a file: constants, attentions and stacks share one namespace. */
export class Scope {
  private readonly reporter: Reporter;
  private readonly byName = new Map<string, Named | null>();
  private readonly byKind = new Map<Named["kind"], readonly string[]>();
  /** What unknown names were taken to mean: one may stand in a file a thousand times. */
  private readonly meant = new Map<string, string | null>();
  private comparisons = 0;

  constructor(tree: SpecTree, reporter: Reporter) {
    this.reporter = reporter;
    const spelled = new Map<string, Name>();
    for (const declaration of tree.declarations) {
      const name = declaredName(declaration);
      if (name !== null) this.declare(declaration, name, spelled);
    }
  }

  private declare(declaration: DeclarationNode, name: Name, spelled: Map<string, Name>): void {
    const emitted = emittedName(name.text);
    const rival = spelled.get(emitted);
    if (rival === undefined) spelled.set(emitted, name);
    else this.reportRival(name, rival);
    if (this.byName.has(name.text)) return;
    // A declaration that could not be read still makes its name known, so that its uses are no second error.
    this.byName.set(
      name.text,
      declaration.kind === "unknown" || declaration.kind === "tune" ? null : declaration,
    );
  }

  private reportRival(name: Name, rival: Name): void {
    if (rival.text === name.text) {
      const message = `\`${name.text}\` is declared already, in line ${rival.span.line}`;
      this.reporter.report("MTA201", name.span, message, {
        expected: "another name: constants, attentions and stacks share one namespace",
        related: { message: "declared here first", span: rival.span },
      });
      return;
    }
    const message = `\`${name.text}\` and \`${rival.text}\` (line ${rival.span.line}) become the same name in TypeScript`;
    this.reporter.report("MTA202", name.span, message, {
      expected: "names that differ in more than underscores",
      related: { message: "the other name", span: rival.span },
    });
  }

  /** Finds what a name stands for, `asker` not among what is offered instead; null, with the reason reported, when there is nothing of that kind. */
  lookUp<K extends Named["kind"]>(
    name: string,
    kind: K,
    span: Span,
    unknown: DiagnosticCode,
    what: string,
    asker?: string,
  ): Extract<Named, { kind: K }> | null {
    const found = this.byName.get(name);
    if (found === null) return null;
    if (found === undefined) {
      this.reporter.report(unknown, span, `unknown ${what} \`${name}\``, {
        ...this.listOf(kind, asker),
        ...didYouMean(name, span, this.meantBy(name, kind)),
      });
      return null;
    }
    if (isKind(found, kind)) return found;
    const expected = `the name of ${withArticle(kind)}`;
    this.reporter.report("MTA207", span, `\`${name}\` is ${withArticle(found.kind)}`, { expected });
    return null;
  }

  /** The constant of that name, if there is one; nothing is reported. */
  findConstant(name: string): ConstNode | null {
    const found = this.byName.get(name);
    return found?.kind === "const" ? found : null;
  }

  /** What attentions there are, where the list is short enough to be read. */
  private listOf(kind: Named["kind"], asker: string | undefined): DiagnosticExtras {
    const all = this.namesOf(kind);
    if (kind !== "attention" || all.length > MOST_LISTED + 1) return {};
    const names = all.filter((name) => name !== asker);
    if (names.length === 0 || names.length > MOST_LISTED) return {};
    return { expected: `an attention of this file: ${wordList(names)}` };
  }

  /** The one name that an unknown one may mean, or none; none, too, once much has been compared. */
  private meantBy(name: string, kind: Named["kind"]): string[] {
    const key = `${kind} ${name}`;
    let meant = this.meant.get(key);
    if (meant === undefined) {
      const names = this.namesOf(kind);
      this.comparisons += names.length;
      meant = this.comparisons <= MAX_COMPARISONS ? suggest(name, names) : null;
      this.meant.set(key, meant);
    }
    return meant === null ? [] : [meant];
  }

  private namesOf(kind: Named["kind"]): readonly string[] {
    const known = this.byKind.get(kind);
    if (known !== undefined) return known;
    const names = [...this.byName].filter(([, node]) => node?.kind === kind).map(([name]) => name);
    this.byKind.set(kind, names);
    return names;
  }
}

/** `a` → `b` → `a`; of a long cycle only the first members. */
export function describeCycle(members: readonly (AttentionNode | ConstNode)[]): string {
  const shown = members.slice(0, 8).map(({ name }) => (name.kind === "name" ? `\`${name.text}\`` : "?"));
  const rest = members.length - shown.length;
  const [first = "?"] = shown;
  return [...shown, ...(rest > 0 ? [`… (${rest} more)`] : []), first].join(" → ");
}

function isKind<K extends Named["kind"]>(node: Named, kind: K): node is Extract<Named, { kind: K }> {
  return node.kind === kind;
}

function withArticle(kind: Named["kind"]): string {
  switch (kind) {
    case "attention":
      return "an attention";
    case "const":
      return "a constant";
    case "stack":
      return "a stack";
  }
}

/** Emitted code has names such as `createMtaHeads`: only the letters and digits tell them apart. */
export function emittedName(name: string): string {
  const camel = camelCase(name);
  return camel.slice(0, 1).toUpperCase() + camel.slice(1);
}

function declaredName(declaration: DeclarationNode): Name | null {
  if (declaration.kind === "tune" || declaration.name === null) return null;
  return declaration.name.kind === "name" ? declaration.name : null;
}
