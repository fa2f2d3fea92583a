import type { Command } from "commander";
import { isPeerName, PEER_NAMES, type PeerName } from "../../bench/peers/index.ts";
import { type BenchReport, hasWrongResults } from "../../bench/report.ts";
import { type BenchProgress, runBenchmark } from "../../bench/run-benchmark.ts";
import { loadGradients } from "../../emit/index.ts";
import { checkWritable } from "../../files/atomic-write.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { readUtf8 } from "../../files/text.ts";
import { resolve } from "../../ir/index.ts";
import { plural } from "../../report/units.ts";
import { computingTarget, openMeter } from "../../targets/index.ts";
import { deviceFacts, type MeteredTarget } from "../../targets.ts";
import { openOutput } from "../../terminal/output.ts";
import { formatClock, progressLine } from "../../terminal/progress.ts";
import { storePath } from "../../tune/store-path.ts";
import { tunedLookup } from "../../tune/tuned-winners.ts";
import { peersWithoutTimes, unknownPeer, wrongUsage } from "../errors.ts";
import { Finished } from "../failure.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { BenchFlags } from "./command.ts";
import { formatReport, writeReports } from "./report.ts";

const DEFAULT_LENGTHS = [128, 256, 512] as const;

/** `mtac bench`: times a spec's plans and peers, or shows what a kit for a GPU found. */
export async function run(file: string | undefined, flags: BenchFlags, command: Command): Promise<void> {
  if (flags.import !== undefined) {
    if (file !== undefined)
      throw wrongUsage("`--import` shows what a kit found, whose specs it has", "leave out the spec");
    refuseTimingFlags(command);
    const { showKit } = await import("./kit.ts");
    return showKit(flags.import, flags);
  }
  if (file === undefined)
    throw wrongUsage(
      "`mtac bench` needs a spec",
      "`mtac bench spec.mta`, or `mtac bench --import results.json`",
    );
  return benchSpec(file, flags);
}

/** What goes with `--import`: all other flags say what to time, and how. */
const SHOWING = ["import", "name", "csv", "html", "plot", "json"];

/** @throws MtacError MTA900 */
function refuseTimingFlags(command: Command): void {
  const useless = command.options.filter((option) => {
    const name = option.attributeName();
    return !SHOWING.includes(name) && command.getOptionValueSource(name) === "cli";
  });
  if (useless.length === 0) return;
  const list = useless.map(({ long }) => `\`${long}\``).join(", ");
  throw wrongUsage(
    `${list} ${useless.length === 1 ? "does" : "do"} not go with \`--import\`, which times nothing`,
    `leave ${useless.length === 1 ? "it" : "them"} out`,
  );
}

/** Times plans and peers, and writes what was found. */
async function benchSpec(file: string, flags: BenchFlags): Promise<void> {
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
    await writeReports([report], flags, output);
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
