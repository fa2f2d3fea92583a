import type { Diagnostic } from "./diagnostics.ts";
import { layOut } from "./format-layout.ts";
import { arrange } from "./format-units.ts";
import { parse } from "./parse.ts";

/** A formatted spec, or why it could not be formatted. */
export type Formatted = { readonly text: string } | { readonly diagnostics: readonly Diagnostic[] };

/**
 * Formats a spec. Comments stay, blank lines stay (one at most in a row), the meaning stays; formatting twice changes
 * nothing. A source with syntax errors is not touched: the diagnostics come back instead.
 */
export function format(source: string, file: string): Formatted {
  const plain = source.replace(/\r\n?/g, "\n");
  const { tree, lexed, diagnostics } = parse(plain, file);
  if (diagnostics.some((entry) => entry.severity === "error")) return { diagnostics };
  const text = layOut(arrange(plain, lexed, tree), "");
  return { text: text === "" ? "" : `${text}\n` };
}
