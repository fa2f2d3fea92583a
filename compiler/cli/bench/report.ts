import type { BenchReport } from "../../bench/report.ts";
import {
  backwardNote,
  CELLS,
  formatProduct,
  lengthTable,
  NONE,
  overLengths,
  titleOf,
} from "../../bench/summary.ts";
import { writeAtomically } from "../../files/atomic-write.ts";
import type { Output } from "../../terminal/output.ts";
import { type Alignment, inLine, table, wrap } from "../../terminal/style.ts";
import type { BenchFlags } from "./command.ts";

/** The files that were asked for: CSV has all reports, the page and the plot the first one. Each is made when it is asked for: plots load the drawing library. */
export async function writeReports(
  reports: readonly BenchReport[],
  { csv, html, plot }: BenchFlags,
  output: Output,
): Promise<void> {
  const [report] = reports;
  if (report === undefined) return;
  if (csv !== undefined) {
    const { toCsv } = await import("../../bench/csv.ts");
    writeAtomically(csv, toCsv(reports));
  }
  if (html !== undefined || plot !== undefined) {
    const plots = await import("../../bench/plots.ts");
    const time = plots.timePlot(report);
    if (plot !== undefined) writeAtomically(plot, time);
    if (html !== undefined) {
      const { toHtml } = await import("../../bench/html.ts");
      const drawings = { time, product: plots.productPlot(report), bytes: plots.bytesPlot(report) };
      writeAtomically(html, toHtml(report, drawings));
    }
  }
  for (const path of [csv, html, plot]) if (path !== undefined) output.note(`wrote ${inLine(path)}`);
}

/** A report as text. */
export function formatReport(report: BenchReport, output: Output): string {
  const { style } = output;
  const { lengths, unit, missing, notes, growth } = report;
  const alignment: readonly Alignment[] = [
    "left",
    "right",
    "left",
    "right",
    "right",
    "right",
    "right",
    "right",
  ];
  const blocks = lengths.map((length) => {
    const { head, rows } = lengthTable(length, unit);
    const coloured = rows.map((cells, index) => {
      const row = length.rows[index];
      const colour = row?.state === "wrong" || row?.state === "failed" ? style.red : (text: string) => text;
      return cells.map((cell, column) =>
        column <= 1 ? colour(cell) : cell === NONE ? style.dim(cell) : cell,
      );
    });
    const reasons = length.rows.flatMap(({ subject, reason, state }) =>
      reason === null ? [] : [`  ${style.red(state)} ${subject}: ${reason}`],
    );
    const backward = backwardNote(length);
    return [
      style.bold(titleOf(length)),
      table([head.map(style.dim), ...coloured], alignment, "  "),
      ...(backward === null ? [] : [wrap(`  ${style.dim(backward)}`, "  ")]),
      ...reasons,
    ].join("\n");
  });
  if (growth.length > 0) {
    const { rows } = overLengths(report, CELLS.bytes, { growth: true });
    const lines = rows.map((cells) => [cells[0] ?? "", cells.at(-1) ?? ""]);
    blocks.push(`${style.bold("growth of the time")}\n${table(lines, [], "  ")}`);
  }
  const remarks = [
    ...notes.map((note) => `${style.yellow("note")} ${note}`),
    ...missing.map(
      ({ name, reason, remedy }) =>
        `${style.yellow("missing")} ${name}: ${reason}\n  ${style.cyan("=")} fix: ${remedy}`,
    ),
  ];
  return [
    `${style.dim("best matrix product")}  ${formatProduct(report)}`,
    ...blocks,
    ...(remarks.length === 0 ? [] : [remarks.join("\n")]),
  ].join("\n\n");
}
