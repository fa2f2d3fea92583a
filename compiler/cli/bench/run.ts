import { isPeerName, PEER_NAMES, type PeerName } from "../../bench/peers/index.ts";
import { type BenchReport, hasWrongResults } from "../../bench/report.ts";
import { type BenchProgress, runBenchmark } from "../../bench/run-benchmark.ts";
import {
  backwardNote,
  CELLS,
  formatProduct,
  lengthTable,
  NONE,
  overLengths,
  titleOf,
} from "../../bench/summary.ts";
import { loadGradients } from "../../emit/index.ts";
import { checkWritable, writeAtomically } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { readUtf8 } from "../../files/text.ts";
import { resolve } from "../../ir/index.ts";
import { plural } from "../../report/units.ts";
import { computingTarget, openMeter } from "../../targets/index.ts";
import { deviceFacts, type MeteredTarget } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { formatClock, progressLine } from "../../terminal/progress.ts";
import { type Alignment, inLine, table, wrap } from "../../terminal/style.ts";
import { storePath } from "../../tune/store-path.ts";
import { tunedLookup } from "../../tune/tuned-winners.ts";
import { peersWithoutTimes, unknownPeer } from "../errors.ts";
import { Finished } from "../failure.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { BenchFlags } from "./command.ts";

const DEFAULT_LENGTHS = [128, 256, 512] as const;

/** `mtac bench SPEC`: times plans and peers, and writes what was found. */
export async function run(file: string, flags: BenchFlags): Promise<void> {
  const target = flags.target ?? (await computingTarget());
  const output = openOutput(flags);
  checkArchitecture({ ...flags, target });
  const peers = peersOf(flags.peers, target);
  refuseOverlap(
    [
      { name: "`--csv`", path: flags.csv },
      { name: "`--html`", path: flags.html },
      { name: "`--plot`", path: flags.plot },
    ],
    [
      { name: "the spec", path: file },
      { name: "the tuning store", path: storePath(flags.store) },
    ],
  );
  for (const path of [flags.csv, flags.html, flags.plot]) if (path !== undefined) checkWritable(path);
  const spec = await readSpec(file, output);
  const { attention, layer } = chooseAttention(spec, flags);
  const pipeline = resolve(attention, file);
  if (flags.grad === true) await loadGradients();
  const tuned = tunedLookup(pipeline, flags, output.notice);
  const lengths = [...new Set(flags.lengths ?? DEFAULT_LENGTHS)].sort((a, b) => a - b);
  const interruption = interruptible();
  const meter = await openMeter(target, { architecture: flags.arch, threads: flags.threads }).catch(
    (error: unknown) => {
      interruption.end();
      throw error;
    },
  );
  const line = progressLine(process.stderr, output.noteStyle);
  try {
    const title = output.noteStyle.bold(pipeline.name);
    output.note(`timing ${title} on ${meter.description}: ${plural(lengths.length, "length")}`);
    const start = performance.now();
    const report = await runBenchmark({
      meter,
      pipeline,
      spec: { file, text: readUtf8(file) },
      batch: flags.batch,
      lengths,
      schedule: flags.schedule,
      layer,
      rounds: flags.rounds,
      seed: flags.seed,
      peers,
      threads: flags.threads,
      grad: flags.grad === true,
      resolveFrom: process.cwd(),
      tuned: (shape, direction) => tuned?.(meter, shape, direction) ?? null,
      signal: interruption.signal,
      onProgress: (progress) => line.show(progressState(progress, performance.now() - start)),
    });
    line.clear();
    await writeFiles(report, flags, output);
    output.text(formatReport(report, output));
    output.result(report);
    if (report.interrupted) throw new Finished(130);
    if (hasWrongResults(report) || nothingTimed(report)) throw new Finished(1);
  } finally {
    line.clear();
    interruption.end();
    await meter.close();
  }
}

/** The first Ctrl-C stops after the run that is under way, the second at once. */
function interruptible(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    // Not by the signal's default: leaving in order takes peers' processes along.
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  return { signal: controller.signal, end: () => void process.removeListener("SIGINT", interrupt) };
}

/** @throws MtacError MTA924, MTA925 */
function peersOf(names: readonly string[] | undefined, target: MeteredTarget): readonly PeerName[] {
  const { counts: counted } = deviceFacts(target);
  const wanted = (names ?? [counted ? "none" : "all"]).flatMap((name) => {
    if (name === "all") return PEER_NAMES;
    if (name === "none") return [];
    if (isPeerName(name)) return [name];
    throw unknownPeer(name, PEER_NAMES);
  });
  if (counted && wanted.length > 0) throw peersWithoutTimes(target);
  return PEER_NAMES.filter((name) => wanted.includes(name));
}

function nothingTimed({ lengths }: BenchReport): boolean {
  return lengths.every(({ rows }) => rows.every(({ time }) => time === null));
}

/** Each file is made when it is asked for: plots load the drawing library. */
async function writeFiles(
  report: BenchReport,
  { csv, html, plot }: BenchFlags,
  output: Output,
): Promise<void> {
  if (csv !== undefined) {
    const { toCsv } = await import("../../bench/csv.ts");
    writeAtomically(csv, toCsv(report));
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

function progressState(
  { step, name, done, total, length, lengthsDone, lengths }: BenchProgress,
  elapsedMs: number,
): Parameters<ReturnType<typeof progressLine>["show"]>[0] {
  return {
    share: (lengthsDone + done / total) / lengths,
    before: `L ${length}`,
    after: `${formatClock(elapsedMs)}, ${step} ${name}`,
  };
}

function formatReport(report: BenchReport, output: Output): string {
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
