import { deviceFacts } from "../targets.ts";
import type { BenchReport } from "./report.ts";
import {
  CELLS,
  formatPlan,
  formatProduct,
  labelOf,
  lengthTable,
  overLengths,
  type TextTable,
  titleOf,
} from "./summary.ts";

/** Drawings for a report: SVG text, whole and trusted; null where there is nothing to draw. */
export interface ReportPlots {
  readonly time: string;
  readonly product: string | null;
  readonly bytes: string | null;
}

/** Text for a place between tags or in a quoted attribute: whatever it holds, it stays text. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** A report as one HTML file that loads nothing and runs nothing: figures, each with its table, then every number. */
export function toHtml(report: BenchReport, plots: ReportPlots): string {
  const { spec, lengths, unit, interrupted } = report;
  const title = `${spec.attention}: benchmark by mtac ${report.provenance.mtac}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${interrupted ? `<p class="warning">The benchmark was interrupted: runs or lengths are missing.</p>\n` : ""}${definitions(provenanceOf(report))}
<h2>Time</h2>
${figure(plots.time, overLengths(report, CELLS.time, { growth: true }))}
<h2>Operations per second</h2>
${figure(plots.product, overLengths(report, CELLS.shareOfProduct, { growth: false }))}
<h2>Memory</h2>
${figure(plots.bytes, overLengths(report, CELLS.bytes, { growth: false }))}
<h2>All numbers</h2>
${lengths.map((length) => `<h3>${escapeHtml(titleOf(length))}</h3>\n${htmlTable(lengthTable(length, unit))}\n${troubles(length)}`).join("\n")}
<h2>What was compared</h2>
${subjectsList(report)}
<h2>Spec</h2>
<p>${escapeHtml(spec.file)}</p>
<pre>${escapeHtml(spec.text)}</pre>
</body>
</html>
`;
}

/** What the numbers mean, for people who read nothing else. */
export function readingNotes({ target, rounds, notes, missing }: BenchReport): readonly string[] {
  return [
    `${deviceFacts(target).counts ? "Cycles are estimated from counts" : `Median and quartiles of ${rounds} runs each, all in turns`}; every result was compared with float64 first.`,
    "speed: the unfused baseline's time over this one's. op/s counts only operations that no implementation avoids, hidden pairs left out.",
    "growth: time ∝ L^exponent by least squares, ± the root mean square of the misfit.",
    "Peers run as their lines say, in processes of their own, timed by their own clocks; they do not tell what memory they use, and have no share of another device's matrix product.",
    ...notes,
    ...missing.map(
      ({ name, lengths, reason, remedy }) =>
        `${name} is missing at L = ${lengths.join(", ")}: ${reason} (${remedy})`,
    ),
  ];
}

function provenanceOf(report: BenchReport): readonly (readonly [string, string])[] {
  const { provenance, spec, device, target, seed } = report;
  const { heads, kvHeads, headDim, valueDim, storage } = spec;
  return [
    ["device", `${device.description} (${target})`],
    ["identity", device.identity],
    [
      "machine",
      `${provenance.processor}, ${provenance.cores} cores, ${provenance.platform}${provenance.node === null ? "" : `, Node ${provenance.node}`}`,
    ],
    [
      "attention",
      `${heads} heads (${kvHeads} of keys), head_dim ${headDim}, value_dim ${valueDim}, ${storage}`,
    ],
    ["matrix product", formatProduct(report)],
    ["inputs", `random, seed ${seed}`],
    ["date", provenance.at],
  ];
}

function definitions(entries: readonly (readonly [string, string])[]): string {
  const rows = entries.map(([term, text]) => `<dt>${escapeHtml(term)}</dt><dd>${escapeHtml(text)}</dd>`);
  return `<dl>\n${rows.join("\n")}\n</dl>`;
}

function figure(svg: string | null, table: TextTable): string {
  const drawing = svg === null ? "" : `${svg.trim()}\n`;
  return `<figure>\n${drawing}<figcaption>${htmlTable(table)}</figcaption>\n</figure>`;
}

function htmlTable({ head, rows }: TextTable): string {
  const line = (cells: readonly string[], tag: "th" | "td"): string =>
    `<tr>${cells
      .map((cell, column) => {
        const name = column === 0 && tag === "td" ? `th scope="row"` : tag;
        return `<${name}>${escapeHtml(cell)}</${name.slice(0, 2)}>`;
      })
      .join("")}</tr>`;
  const body = rows.map((cells) => line(cells, "td")).join("\n");
  return `<div class="wide"><table>\n<thead>${line(head, "th")}</thead>\n<tbody>\n${body}\n</tbody>\n</table></div>`;
}

function troubles({ rows }: BenchReport["lengths"][number]): string {
  return rows
    .filter(({ reason }) => reason !== null)
    .map(
      (row) =>
        `<p class="warning">${escapeHtml(labelOf(row))} is ${escapeHtml(row.state)}: ${escapeHtml(row.reason ?? "")}</p>`,
    )
    .join("\n");
}

function subjectsList(report: BenchReport): string {
  const described = report.lengths.flatMap((length) =>
    length.rows.map(({ subject, plan, runsOn }) =>
      plan === null
        ? `${subject}: ${runsOn ?? "unknown"}`
        : `${subject} at ${titleOf(length)}: ${formatPlan(plan)}`,
    ),
  );
  const items = [...readingNotes(report), ...new Set(described)];
  return `<ul>\n${items.map((item) => `<li>${escapeHtml(item)}</li>`).join("\n")}\n</ul>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #24292f; --faint: #57606a; --ground: #fff; --line: #d8dee4; --warning: #9a3412; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9198a1; --ground: #0d1117; --line: #3d444d; --warning: #ffa657; }
}
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin-bottom: 0.3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.87rem; }
th, td { padding: 0.25rem 0.8rem 0.25rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
tbody th { color: var(--ink); font-weight: 400; }
th:first-child { text-align: left; }
pre { overflow-x: auto; padding: 0.8rem; border: 1px solid var(--line); border-radius: 4px; font-size: 0.87rem; }
.warning { color: var(--warning); }
`;
