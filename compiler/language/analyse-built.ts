import { type Analysis, check } from "./analyse.ts";
import { type AnyBuilt, isBuilt } from "./builder-values.ts";
import { isBuiltSpan } from "./call-site.ts";
import { type Diagnostic, diagnostic } from "./diagnostics.ts";
import { camelCase } from "./identifier.ts";
import { KEYWORDS } from "./words.ts";

/**
 * Checks what a spec in TypeScript exports by default: one declaration, or an array of them. What they refer to belongs to
 * the spec, listed or not.
 * @param exported the module's default export, unchecked
 * @param file the name of the spec's file, for diagnostics that have no call to point at
 */
export function analyseBuilt(exported: unknown, file: string): Analysis {
  const listed: readonly unknown[] = Array.isArray(exported) ? exported : [exported];
  const declarations = new Set<AnyBuilt>();
  const strange: Diagnostic[] = [];
  for (const value of listed) {
    if (isBuilt(value)) declarations.add(value);
    else strange.push(reportStrange(file));
  }
  // The set grows while it is walked: references of references are visited too.
  for (const declaration of declarations) {
    for (const reference of declaration.references) declarations.add(reference);
  }
  const built = [...declarations];
  const tree = { file, declarations: built.map((declaration) => declaration.node) };
  const analysis = check(tree, [...strange, ...built.flatMap((declaration) => declaration.diagnostics)]);
  return { ...analysis, diagnostics: analysis.diagnostics.map((entry) => translate(entry, file)) };
}

function reportStrange(file: string): Diagnostic {
  const span = { start: 0, end: 0, line: 1, column: 1 };
  return diagnostic("MTA231", file, span, "the default export holds something that is no declaration", {
    expected: "what `attention`, `stack` and `tune` make, or an array of such",
  });
}

/** Words that are spelled differently in TypeScript. */
const RESPELLED = KEYWORDS.filter((word) => word.includes("_"));

/** Names of the language become those of TypeScript, and the place that of the builder's call. */
function translate(entry: Diagnostic, file: string): Diagnostic {
  const { code, severity, span } = entry;
  const place = isBuiltSpan(span) ? { file: span.file === "" ? file : span.file, path: span.path } : { file };
  return {
    code,
    severity,
    message: respell(entry.message),
    ...(entry.expected === undefined ? {} : { expected: respell(entry.expected) }),
    // There is no source text to edit: only the words of the fix remain.
    ...(entry.fix === undefined ? {} : { fix: { message: respell(entry.fix.message) } }),
    ...place,
    span,
  };
}

function respell(text: string): string {
  return text.replace(/`[^`]*`/g, (quoted) =>
    RESPELLED.reduce(
      (result, word) => result.replace(new RegExp(`\\b${word}\\b`, "g"), camelCase(word)),
      quoted,
    ),
  );
}
