import type { Diagnostic, Severity } from "./diagnostics.ts";

export interface RenderOptions {
  /** The text of the file that the diagnostic names; null when it is not at hand. */
  readonly source: string | null;
  readonly color?: boolean;
}

const RESET = "\u001b[0m";
const BOLD = "\u001b[1m";
const BLUE = "\u001b[34m";
const SEVERITY_COLORS: Readonly<Record<Severity, string>> = { error: "\u001b[31m", warning: "\u001b[33m" };

/** Writes a diagnostic for people: place, code and message, the source line with the span underlined, what to do. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions): string {
  const paint = (text: string, ...styles: string[]): string =>
    options.color === true ? `${styles.join("")}${text}${RESET}` : text;
  const { severity, span } = diagnostic;
  const place = `${diagnostic.file}:${span.line}:${span.column}`;
  const path = diagnostic.path === undefined ? "" : ` ${diagnostic.path}:`;
  const kind = paint(`${severity} ${diagnostic.code}`, BOLD, SEVERITY_COLORS[severity]);
  const lines = [`${place}: ${kind}:${path} ${diagnostic.message}`];
  const gutter = " ".repeat(String(span.line).length);
  const excerpt = options.source === null ? null : excerptOf(diagnostic, options.source);
  if (excerpt !== null) {
    lines.push(`  ${paint(`${span.line} |`, BLUE)} ${excerpt.line}`);
    lines.push(
      `  ${paint(`${gutter} |`, BLUE)} ${excerpt.indent}${paint(excerpt.underline, SEVERITY_COLORS[severity])}`,
    );
  }
  if (diagnostic.expected !== undefined)
    lines.push(`  ${gutter} ${paint("=", BLUE)} expected: ${diagnostic.expected}`);
  if (diagnostic.fix !== undefined)
    lines.push(`  ${gutter} ${paint("=", BLUE)} fix: ${diagnostic.fix.message}`);
  return lines.join("\n");
}

/** Writes all diagnostics, one paragraph each. */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: RenderOptions): string {
  return diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, options)).join("\n\n");
}

/** Only what the text shows: other control characters would disturb a terminal. */
function printable(text: string): string {
  return text.replace(/[^\P{C}\t]/gu, "\uFFFD");
}

function excerptOf(
  { span }: Diagnostic,
  source: string,
): { line: string; indent: string; underline: string } | null {
  const line = source.split(/\r\n|\n|\r/)[span.line - 1];
  if (line === undefined) return null;
  const before = line.slice(0, span.column - 1);
  // Tabs keep their width, every other character takes one column.
  const indent = [...printable(before)].map((character) => (character === "\t" ? "\t" : " ")).join("");
  const marked = line.slice(span.column - 1, span.column - 1 + Math.max(0, span.end - span.start));
  return { line: printable(line), indent, underline: "^".repeat(Math.max(1, [...marked].length)) };
}
