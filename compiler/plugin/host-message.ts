import { relative } from "node:path";
import { MtacError } from "../../runtime/contract/index.ts";
import { SpecError } from "../compile/checked-source.ts";
import { type Diagnostic, renderDiagnostic } from "../language/index.ts";

/** An error or a warning as every bundler takes it; those that know `frame` and `loc` show the place. */
export interface HostMessage {
  readonly message: string;
  readonly id: string;
  /** Columns count from 0, as bundlers have it. */
  readonly loc?: { readonly file: string; readonly line: number; readonly column: number };
  readonly frame?: string;
  readonly pluginCode?: string;
  readonly stack?: string;
}

/** Where a message goes. */
interface Host {
  /** Whether the bundler shows `loc` and `frame` itself; otherwise the message must hold them. */
  readonly showsFrames: boolean;
}

/** One diagnostic. The message begins with mtac's code and ends with the remedy. */
export function diagnosticMessage(
  diagnostic: Diagnostic,
  source: string,
  { showsFrames }: Host,
): HostMessage {
  const { code, message, expected, fix, file, span } = diagnostic;
  const shown = { ...diagnostic, file: relative(process.cwd(), file) };
  const rendered = renderDiagnostic(shown, { source });
  const advice = [
    ...(expected === undefined ? [] : [`expected: ${expected}`]),
    ...(fix === undefined ? [] : [`fix: ${fix.message}`]),
  ];
  return {
    message: showsFrames ? [`${code}: ${message}`, ...advice].join("\n") : rendered,
    id: file,
    pluginCode: code,
    loc: { file, line: span.line, column: span.column - 1 },
    ...(showsFrames ? { frame: frameOf(rendered) } : {}),
  };
}

/** The source line with the place underlined, out of a rendered diagnostic. */
function frameOf(rendered: string): string {
  return rendered
    .split("\n")
    .filter((line) => /^ +\d* \|/.test(line))
    .join("\n");
}

/** Whatever made a spec's build fail; null for a defect, which must keep its own stack. */
export function failureMessage(error: unknown, file: string, source: string, host: Host): HostMessage | null {
  if (error instanceof SpecError) {
    const [first, ...others] = error.diagnostics.filter(({ severity }) => severity === "error");
    if (first === undefined) return null;
    const head = diagnosticMessage(first, source, host);
    const rest = others.map((each) => diagnosticMessage(each, source, { showsFrames: false }).message);
    return { ...head, message: [head.message, ...rest].join("\n\n") };
  }
  if (!(error instanceof MtacError)) return null;
  const remedy = error.remedy === null ? "" : `\nfix: ${error.remedy}`;
  return { message: `${error.code}: ${error.message}${remedy}`, id: file, pluginCode: error.code };
}
