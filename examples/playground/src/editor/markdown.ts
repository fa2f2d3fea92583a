import { h } from "../dom.ts";

/**
 * The Markdown that the language server writes, as elements: paragraphs, code blocks, lists with numbers, tables, rules, and code and
 * emphasis inside lines. Everything else stays the text that it is.
 */
export function renderMarkdown(text: string): HTMLElement {
  const blocks = text.split(/\n{2,}/).map((block) => block.trim());
  return h("div", { class: "prose" }, ...blocks.filter((block) => block !== "").map(renderBlock));
}

function renderBlock(block: string): HTMLElement {
  const code = /^```\w*\n([\s\S]*?)\n?```$/.exec(block);
  if (code !== null) return h("pre", {}, h("code", {}, code[1] ?? ""));
  if (block === "---") return h("hr");
  const lines = block.split("\n");
  if (lines.length > 1 && lines.every((line) => line.startsWith("|"))) return renderTable(lines);
  if (lines.every((line) => /^\d+\. /.test(line)))
    return h("ol", {}, ...lines.map((line) => h("li", {}, ...renderInline(line.replace(/^\d+\. /, "")))));
  return h("p", {}, ...renderInline(lines.join(" ")));
}

function renderTable(lines: readonly string[]): HTMLElement {
  const [head = [], , ...rows] = lines.map((line) =>
    line
      .replace(/^\||\|$/g, "")
      .split("|")
      .map((cell) => cell.trim()),
  );
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...head.map((cell) => h("th", { scope: "col" }, ...renderInline(cell))))),
    h(
      "tbody",
      {},
      ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, ...renderInline(cell))))),
    ),
  );
}

/** Code and emphasis inside one line. */
export function renderInline(line: string): (string | HTMLElement)[] {
  return line.split(/(`[^`]*`|\*\*[^*]+\*\*)/).flatMap((part): (string | HTMLElement)[] => {
    if (part === "") return [];
    if (/^`[^`]*`$/.test(part)) return [h("code", {}, part.slice(1, -1))];
    if (/^\*\*[^*]+\*\*$/.test(part)) return [h("strong", {}, part.slice(2, -2))];
    return [part];
  });
}
