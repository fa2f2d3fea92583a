import type { Span } from "./attention.ts";
import type { DiagnosticCode, DiagnosticExtras, Reporter } from "./diagnostics.ts";
import type { Evaluator } from "./evaluate.ts";
import type { AttentionNode } from "./tree.ts";

export type Faults = Map<DiagnosticCode, Map<Span, AttentionNode>>;

/**
 * What the checks of one attention share. A fault in something inherited is reported where it was written; when only
 * the heir breaks it (its `heads` no longer fit the base's `mix`), it is reported at the heir's name.
 */
export class CheckContext {
  readonly evaluator: Evaluator;
  readonly attention: AttentionNode;
  private readonly reporter: Reporter;
  /** Where faults were found, and when which attention was checked. */
  private readonly faults: Faults;

  constructor(attention: AttentionNode, evaluator: Evaluator, reporter: Reporter, faults: Faults) {
    this.attention = attention;
    this.evaluator = evaluator;
    this.reporter = reporter;
    this.faults = faults;
  }

  get name(): string {
    return this.attention.name.kind === "name" ? this.attention.name.text : "";
  }

  report(
    code: DiagnosticCode,
    owner: AttentionNode,
    span: Span,
    message: string,
    extras: DiagnosticExtras = {},
  ): void {
    const known = this.faults.get(code) ?? new Map<Span, AttentionNode>();
    // Found when the base was checked: the heir repeats no more than it has to.
    if ((known.get(span) ?? this.attention) !== this.attention) return;
    this.faults.set(code, known.set(span, this.attention));
    if (owner === this.attention) {
      this.reporter.report(code, span, message, extras);
      return;
    }
    const base = owner.name.kind === "name" ? ` of \`${owner.name.text}\`` : "";
    const from = `(inherited: line ${span.line}${base})`;
    this.reporter.report(code, this.attention.name.span, `${message} ${from}`, {
      ...extras,
      related: { message: "inherited from here", span },
    });
  }
}
