import type { Diagnostic, Severity } from "./diagnostics.ts";
import { lineText } from "./lines.ts";

/** How diagnostics are shown. */
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

/** Longer lines are cut: a message should not fill the screen. */
const MAX_WIDTH = 140;
const CONTEXT = 40;

function excerptOf(
  { span }: Diagnostic,
  source: string,
): { line: string; indent: string; underline: string } | null {
  const whole = lineText(source, span.line);
  if (whole === undefined) return null;
  const column = span.column - 1;
  const from = whole.length > MAX_WIDTH ? Math.max(0, column - CONTEXT) : 0;
  const to = whole.length > MAX_WIDTH ? Math.min(whole.length, from + MAX_WIDTH) : whole.length;
  const [head, tail] = [from > 0 ? "…" : "", to < whole.length ? "…" : ""];
  const before = head + whole.slice(from, column);
  // Tabs keep their width, every other character takes one column.
  const indent = [...printable(before)].map((character) => (character === "\t" ? "\t" : " ")).join("");
  const marked = whole.slice(column, Math.min(to, column + Math.max(0, span.end - span.start)));
  const line = head + printable(whole.slice(from, to)) + tail;
  return { line, indent, underline: "^".repeat(Math.max(1, [...marked].length)) };
}
