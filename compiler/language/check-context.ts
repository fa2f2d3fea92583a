import type { Span } from "./attention.ts";
import type { DiagnosticCode, DiagnosticExtras, Reporter } from "./diagnostics.ts";
import type { Evaluator } from "./evaluate.ts";
import type { AttentionNode } from "./tree.ts";

/**
 * What the checks of one attention share. A fault in something inherited is reported where it was written; when only
 * the heir breaks it (its `heads` no longer fit the base's `mix`), it is reported at the heir's name.
 */
export class CheckContext {
  readonly evaluator: Evaluator;
  readonly attention: AttentionNode;
  private readonly reporter: Reporter;
  /** Spans of faults found in attentions checked before, so in bases too. */
  private readonly faults: Map<DiagnosticCode, Set<Span>>;

  constructor(
    attention: AttentionNode,
    evaluator: Evaluator,
    reporter: Reporter,
    faults: Map<DiagnosticCode, Set<Span>>,
  ) {
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
    const known = this.faults.get(code) ?? new Set<Span>();
    if (known.has(span)) return;
    this.faults.set(code, known.add(span));
    if (owner === this.attention) {
      this.reporter.report(code, span, message, extras);
      return;
    }
    const base = owner.name.kind === "name" ? ` of \`${owner.name.text}\`` : "";
    const from = `(inherited: line ${span.line}${base})`;
    this.reporter.report(code, this.attention.name.span, `${message} ${from}`, extras);
  }
}
