import { explainCode } from "../../error-guide/index.ts";
import { docsPage } from "../../package.ts";
import type { Output } from "../../terminal/output.ts";
import { wrap } from "../../terminal/style.ts";
import { wrongUsage } from "../errors.ts";

/**
 * `mtac explain MTA305`: what the documentation says of a code.
 *
 * @throws MtacError MTA900: there is no such code
 */
export function printCode(code: string, output: Output): void {
  const entry = explainCode(code);
  if (entry === null) throw wrongUsage(`there is no code ${code}`, `${pathOf("errors")} lists all codes`);
  const { meaning, cause, remedy } = entry;
  output.result({ code, meaning, cause, remedy });
  const paragraphs = [asText(cause), `Remedy: ${asText(remedy)}`].map((text) => wrap(text));
  output.text([`${output.style.bold(code)}: ${meaning}`, ...paragraphs].join("\n\n"));
}

/** A terminal cannot follow links within the documentation. */
function asText(markdown: string): string {
  return markdown.replace(
    /\[([^\]]+)\]\(\.\/([^)]+)\.md\)/g,
    (_link, text: string, page: string) => `${text} (${pathOf(page)})`,
  );
}

function pathOf(page: string): string {
  return docsPage(page) ?? `docs/${page}.md`;
}
