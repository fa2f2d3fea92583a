import {
  candidateTable,
  deviceOf,
  hasTroubles,
  kitReports,
  ratioTable,
  stepTable,
  troublesOf,
} from "../../bench/kit/report.ts";
import { readKitResults } from "../../bench/kit/results.ts";
import type { TextTable } from "../../bench/summary.ts";
import { checkWritable } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { readUtf8 } from "../../files/text.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { table } from "../../terminal/style.ts";
import { unknownName } from "../errors.ts";
import { Finished } from "../failure.ts";
import type { BenchFlags } from "./command.ts";
import { formatReport, writeReports } from "./report.ts";

/**
 * `mtac bench --import FILE`: what a kit for a GPU found, with a benchmark's report of each attention and type that it timed. Ends with 1
 * where something was wrong.
 *
 * @throws MtacError MTA905, MTA906, MTA910, MTA930, MTA934
 */
export async function showKit(file: string, flags: BenchFlags): Promise<void> {
  const output = openOutput(flags);
  const { csv, html, plot, name } = flags;
  refuseOverlap(
    [
      { name: "`--csv`", path: csv },
      { name: "`--html`", path: html },
      { name: "`--plot`", path: plot },
    ],
    [{ name: "`--import`", path: file }],
  );
  for (const path of [csv, html, plot]) if (path !== undefined) checkWritable(path);
  const results = readKitResults(readUtf8(file), file);
  const all = kitReports(results);
  const reports = all.filter(({ spec }) => name === undefined || spec.attention === name);
  if (name !== undefined && reports.length === 0)
    throw unknownName(file, name, [...new Set(all.map(({ spec }) => spec.attention))]);
  await writeReports(reports, flags, output);
  const { style } = output;
  output.text(
    [
      `${style.dim("device")}  ${deviceOf(results).description}`,
      `${style.dim("run")}     ${results.began}, ${results.minutes} minutes, seed ${results.seed}${results.finished ? "" : `, ${style.yellow("not finished")}`}`,
      "",
      shown(stepTable(results), output),
      ...troublesOf(results).map((line) => style.red(line)),
      ...section("other plans", candidateTable(results), output),
      ...reports.flatMap((report) => [
        "",
        style.bold(`${report.spec.attention}, ${report.spec.storage}`),
        shown(ratioTable(report), output),
        formatReport(report, output),
      ]),
    ].join("\n"),
  );
  output.result({ kit: results, reports });
  if (hasTroubles(results)) throw new Finished(1);
}

function shown({ head, rows }: TextTable, { style }: Output): string {
  return table([head.map(style.dim), ...rows], [], "  ");
}

function section(title: string, found: TextTable, output: Output): readonly string[] {
  return found.rows.length === 0 ? [] : ["", output.style.bold(title), shown(found, output)];
}
