import { formatKnobs } from "../../report/describe.ts";
import { formatCount, formatMilliseconds, formatRatio, plural } from "../../report/units.ts";
import { openOutput } from "../../terminal/output.ts";
import { type Style, table } from "../../terminal/style.ts";
import { passes } from "../../tune/export.ts";
import type { Measurement, TuningKey, TuningRecord } from "../../tune/record.ts";
import { openStore } from "../../tune/store.ts";
import { groupByKey, speedOverFirst, type Winner, winnerOf } from "../../tune/winner.ts";
import type { ShowFlags } from "./command.ts";
import { noteIgnored, selectTuning, type TuningSelection } from "./selection.ts";

/** One key's results, as `--json` prints them. */
interface ShownKey {
  /** Names in the spec; null without a spec. */
  readonly attention: string | null;
  readonly key: TuningKey;
  readonly winner: Omit<Winner, "key"> | null;
  /** How many times as fast the winner is as the planner's first choice; null where that was not measured. */
  readonly speedOverFirst: number | null;
  /** Candidates. */
  readonly measured: number;
  /** Candidates. */
  readonly rejected: number;
}

/** `mtac tune show` */
export async function run(file: string | undefined, flags: ShowFlags): Promise<void> {
  const output = openOutput(flags);
  const selection = await selectTuning(file, flags, output);
  const store = openStore(flags.store);
  const { records, ignored } = store.read();
  noteIgnored(store.file, ignored, output);
  const wanted = records.filter(({ key }) => passes(key, { ...selection.filter, mtac: key.mtac }));
  if (flags.all === true) {
    output.result({ store: store.file, records: wanted, ignored });
    output.text(formatRecords(wanted, selection, output.style));
    return;
  }
  const current = wanted.filter(({ key }) => key.mtac === selection.filter.mtac);
  const entries = groupByKey(current).map(([key, own]) => showKey(key, own, selection));
  const otherVersions = wanted.length - current.length;
  output.result({ store: store.file, entries, otherVersions, ignored });
  output.text(
    entries.length === 0 ? `${store.file} holds no results that fit` : formatKeys(entries, output.style),
  );
  if (otherVersions > 0)
    output.note(
      output.noteStyle.dim(
        `${plural(otherVersions, "record")} of other versions of mtac: never used; \`mtac tune prune\` drops them`,
      ),
    );
}

function showKey(key: TuningKey, own: readonly TuningRecord[], { names }: TuningSelection): ShownKey {
  const winner = winnerOf(own, key);
  return {
    attention: names.get(key.spec) ?? null,
    key,
    winner: winner === null ? null : { candidate: winner.candidate, measurement: winner.measurement },
    speedOverFirst: winner === null ? null : speedOverFirst(own, winner),
    measured: countCandidates(own, "measured"),
    rejected: countCandidates(own, "rejected"),
  };
}

function countCandidates(records: readonly TuningRecord[], kind: TuningRecord["kind"]): number {
  const own = records.filter((record) => record.kind === kind);
  return new Set(own.map(({ candidate }) => candidate.source)).size;
}

function formatKeys(entries: readonly ShownKey[], style: Style): string {
  const title = ["attention", "pass", "target", "device", "shape", "median", "speed", "candidates", "winner"];
  const rows = entries.map(({ attention, key, winner, speedOverFirst: speed, measured, rejected }) => [
    ...keyCells(attention, key, style),
    winner === null ? "" : formatTime(winner.measurement),
    speed === null ? "" : formatRatio(speed),
    `${measured} measured, ${rejected} rejected`,
    winner === null
      ? style.dim("none")
      : `${style.green(winner.candidate.schedule)}  ${style.dim(formatKnobs(winner.candidate.knobs))}`,
  ]);
  return table(
    [title.map(style.dim), ...rows],
    ["left", "left", "left", "left", "left", "right", "right", "left", "left"],
  );
}

function formatRecords(records: readonly TuningRecord[], { names }: TuningSelection, style: Style): string {
  const title = [
    "at",
    "mtac",
    "attention",
    "pass",
    "target",
    "device",
    "shape",
    "round",
    "result",
    "candidate",
  ];
  const rows = records.map((record) => [
    record.at,
    record.key.mtac,
    ...keyCells(names.get(record.key.spec) ?? null, record.key, style),
    record.kind === "measured" ? String(record.rung) : "",
    record.kind === "measured" ? formatTime(record) : style.red(`${record.reason} (${record.code})`),
    `${record.candidate.schedule}  ${style.dim(formatKnobs(record.candidate.knobs))}`,
  ]);
  return table([title.map(style.dim), ...rows]);
}

function keyCells(attention: string | null, key: TuningKey, style: Style): readonly string[] {
  const { B, Lq, Lk, R } = key.bucket;
  return [
    style.bold(attention ?? key.spec.slice(0, 12)),
    key.direction ?? "forward",
    `${key.target} ${key.storage}`,
    key.device,
    `${B} × ${Lq} × ${Lk}${R === 0 ? "" : ` after ${R}`}`,
  ];
}

/** A time with its clock, where that is not the device's. */
function formatTime({ median, unit, clock }: Measurement): string {
  const time = unit === "ns" ? formatMilliseconds(median / 1e6) : `${formatCount(median)} cycles`;
  return clock === "device" ? time : `${time} (${clock === "wall" ? "wall" : "estimated"})`;
}
