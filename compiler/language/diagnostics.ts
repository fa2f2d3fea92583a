import type { Span } from "./attention.ts";

/** A warning leaves the spec usable, an error does not. */
export type Severity = "error" | "warning";

/** Which part of mtac reports a code: the catalogue is one, so that no code is given twice. */
type Owner = "language" | "planner" | "command line";

interface CatalogueEntry {
  readonly title: string;
  readonly severity: Severity;
  readonly owner: Owner;
}

function error(title: string, owner: Owner = "language"): CatalogueEntry {
  return { title, severity: "error", owner };
}

function warning(title: string, owner: Owner = "language"): CatalogueEntry {
  return { title, severity: "warning", owner };
}

/** Every code that mtac reports. A code is never reused for another meaning. */
export const CATALOGUE = {
  // 1xx: lexical and syntax
  MTA101: error("stray character"),
  MTA102: error("comment without an end"),
  MTA103: error("malformed number"),
  MTA104: error("malformed name"),
  MTA105: error("name too long"),
  MTA106: error("name with a reserved beginning"),
  MTA107: error("reserved word as a name"),
  MTA110: error("unexpected token"),
  MTA111: error("block without an end"),
  MTA112: error("value missing"),
  MTA113: error("unknown word"),
  MTA114: error("value of the wrong kind"),
  MTA115: error("unknown value"),
  MTA116: error("name missing"),
  MTA117: error("braces missing"),
  MTA118: error("word in the wrong place"),
  MTA119: error("nested too deeply"),
  // 2xx: names and types
  MTA201: error("name declared twice"),
  MTA202: error("names that differ only in underscores"),
  MTA203: error("unknown base"),
  MTA204: error("attentions that extend each other"),
  MTA205: error("unknown constant"),
  MTA206: error("constants that need each other"),
  MTA207: error("name of another kind of declaration"),
  MTA208: error("unknown attention"),
  MTA210: error("property given twice"),
  MTA211: error("section given twice"),
  MTA212: error("modifier given twice"),
  MTA213: error("required property missing"),
  MTA214: error("stage not allowed in this section"),
  MTA215: error("modifier not allowed on this stage"),
  MTA216: error("stage given twice"),
  MTA217: error("label already taken"),
  MTA218: error("mask term given twice"),
  MTA219: error("`none` beside other mask terms"),
  MTA220: error("attention tuned twice"),
  MTA230: error("attention with depth_scale used without a layer", "command line"),
  MTA231: error("argument of the wrong type"),
  // 3xx: shapes and ranges
  MTA301: error("not an integer"),
  MTA302: error("outside its range"),
  MTA303: error("kv_heads does not divide heads"),
  MTA304: error("group does not divide heads"),
  MTA305: error("even kernel with pad_key both"),
  MTA306: error("even kernel with pad_query both"),
  MTA307: error("division by zero"),
  MTA308: error("number too large"),
  MTA309: error("layer outside the stack"),
  MTA310: error("layer covered twice"),
  MTA311: error("layer not covered"),
  MTA312: error("range that runs backwards"),
  MTA313: error("too many stages in a section"),
  // 4xx: target limits and knobs
  MTA401: error("unknown knob", "planner"),
  MTA402: error("value that the knob does not take", "planner"),
  MTA403: error("beyond a limit of the target", "planner"),
  MTA404: error("feature that the target lacks", "planner"),
  MTA405: error("no schedule fits the target", "planner"),
  // 5xx: warnings
  MTA501: warning("causal attention that reads later queries"),
  MTA502: warning("`otherwise` that covers nothing"),
  MTA503: warning("spec without a declaration"),
} as const satisfies Record<`MTA${number}`, CatalogueEntry>;

/** A code of the catalogue, `MTA305` for example. */
export type DiagnosticCode = keyof typeof CATALOGUE;

/** A remedy. With a replacement and a span, an editor can apply it: the text at `span` becomes `replacement`. */
export interface Fix {
  readonly message: string;
  readonly replacement?: string;
  readonly span?: Span;
}

/** Another place that a diagnostic speaks of, such as the first of two equal names. */
export interface RelatedPlace {
  readonly message: string;
  readonly span: Span;
}

/** What is wrong in a spec, and where: `span` in `file`, or `path` in a spec built in TypeScript. */
export interface Diagnostic {
  readonly code: DiagnosticCode;
  readonly severity: Severity;
  readonly message: string;
  readonly expected?: string;
  readonly fix?: Fix;
  readonly related?: RelatedPlace;
  readonly file: string;
  readonly span: Span;
  /** Where the value stands in a spec built in TypeScript, for example `mta_830m.scores[0].padKey`. */
  readonly path?: string;
}

/** What a diagnostic may say beside its message. */
export interface DiagnosticExtras {
  readonly expected?: string;
  readonly fix?: Fix;
  readonly related?: RelatedPlace;
}

/** Makes a diagnostic with the severity that the catalogue gives. */
export function diagnostic(
  code: DiagnosticCode,
  file: string,
  span: Span,
  message: string,
  extras: DiagnosticExtras = {},
): Diagnostic {
  return { code, severity: CATALOGUE[code].severity, message, ...extras, file, span };
}

/** Collects the diagnostics of one file. The same message at the same place is kept once. */
export class Reporter {
  readonly file: string;
  private readonly found: Diagnostic[] = [];
  private readonly seen = new Set<string>();
  private readonly spans = new Map<Span, number>();

  constructor(file: string) {
    this.file = file;
  }

  report(code: DiagnosticCode, span: Span, message: string, extras: DiagnosticExtras = {}): void {
    const found = diagnostic(code, this.file, span, message, extras);
    if (!this.seen.has(this.keyOf(found))) this.add([found]);
  }

  add(diagnostics: readonly Diagnostic[]): void {
    for (const each of diagnostics) {
      this.found.push(each);
      this.seen.add(this.keyOf(each));
    }
  }

  /** Built specs have no offsets: there the span object itself is the place. */
  private keyOf({ code, message, span }: Diagnostic): string {
    if (span.end > 0) return `${code} ${span.start} ${span.end} ${message}`;
    const number = this.spans.get(span) ?? this.spans.size;
    this.spans.set(span, number);
    return `${code} #${number} ${message}`;
  }

  /** In the order of the source. */
  get diagnostics(): readonly Diagnostic[] {
    return this.found.toSorted((a, b) => a.span.start - b.span.start || a.span.end - b.span.end);
  }

  get hasErrors(): boolean {
    return this.found.some((entry) => entry.severity === "error");
  }
}
