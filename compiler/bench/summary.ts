import { formatBytes, formatCount, formatError, formatMilliseconds, formatRatio } from "../report/units.ts";
import {
  type BenchReport,
  floorsOf,
  type LengthReport,
  type Row,
  rowOf,
  type Spread,
  subjectsOf,
} from "./report.ts";

/** A table as text, for the terminal and for HTML alike. */
export interface TextTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Stands where there is no value. */
export const NONE = "–";

/** `unfused`, `two_pass (chosen)`, `pytorch 2.1`. */
export function labelOf({ subject, version, chosen, tuned }: Row): string {
  const marks = [...(chosen ? ["chosen"] : []), ...(tuned && !subject.startsWith("tuned") ? ["tuned"] : [])];
  const name = version === null ? subject : `${subject} ${version}`;
  return marks.length === 0 ? name : `${name} (${marks.join(", ")})`;
}

export function titleOf({ shape: { B, Lq } }: LengthReport): string {
  return B === 1 ? `L = ${Lq}` : `B = ${B}, L = ${Lq}`;
}

/** What a row's columns do not tell of the backward pass, in a sentence; null where there was none. */
export function backwardNote(length: LengthReport): string | null {
  // The tuned one comes last.
  const row = length.rows.findLast(({ kind }) => kind === "backward");
  if (row === undefined || row.timeOverForward === null) return null;
  const floors = floorsOf(row, length);
  const work = `${formatCount(floors.operations)} operations at least, ${formatRatio(floors.operations / length.operations)} the forward pass's`;
  const memory = row.workspaceBytes === null ? "" : `; workspace ${formatBytes(row.workspaceBytes)}`;
  return `backward takes ${formatRatio(row.timeOverForward)} the time of the forward pass; ${work}${memory}`;
}

/** All columns of one length. */
export function lengthTable(length: LengthReport, unit: BenchReport["unit"]): TextTable {
  return {
    head: ["", "median", "quartiles", "speed", "op/s", "of product", "bytes", "error"],
    rows: length.rows.map((row) => [
      labelOf(row),
      row.time === null ? row.state : formatTime(row.time.median, unit),
      row.time === null || row.time.samples === 1 ? "" : formatQuartiles(row.time, unit),
      orNone(row.speedup, formatRatio),
      orNone(row.operationsPerSecond, formatRate),
      orNone(row.shareOfProduct, formatShare),
      orNone(row.bytesOverCompulsory, formatRatio),
      row.error === null ? NONE : formatError(row.error.error),
    ]),
  };
}

/** What a cell of `overLengths` shows. */
export type Cell = (row: Row, unit: BenchReport["unit"]) => string;

export const CELLS = {
  time: ({ time, state }, unit) =>
    time === null
      ? state
      : time.samples === 1
        ? formatTime(time.median, unit)
        : `${formatTime(time.median, unit)} (${formatQuartiles(time, unit)})`,
  shareOfProduct: ({ operationsPerSecond: rate, shareOfProduct: share }) =>
    rate === null ? NONE : share === null ? formatRate(rate) : `${formatShare(share)} (${formatRate(rate)})`,
  bytes: ({ bytesOverCompulsory }) => orNone(bytesOverCompulsory, formatRatio),
} as const satisfies Record<string, Cell>;

/** One value of every subject at every length; times with their growth. */
export function overLengths(
  report: BenchReport,
  cell: Cell,
  options: { readonly growth: boolean },
): TextTable {
  const { lengths, unit, growth } = report;
  return {
    head: ["", ...lengths.map(titleOf), ...(options.growth ? ["growth"] : [])],
    rows: subjectsOf(report).map((subject) => [
      nameOf(report, subject),
      ...lengths.map((length) => {
        const row = rowOf(length, subject);
        return row === undefined ? NONE : cell(row, unit);
      }),
      ...(options.growth
        ? [
            orNone(
              growth.find((each) => each.subject === subject),
              formatGrowth,
            ),
          ]
        : []),
    ]),
  };
}

/** A subject over all lengths: with the version of a peer, without what holds for one length only. */
export function nameOf({ lengths }: Pick<BenchReport, "lengths">, subject: string): string {
  const version = lengths.flatMap((length) => rowOf(length, subject)?.version ?? [])[0];
  return version === undefined ? subject : `${subject} ${version}`;
}

/** `staged, tile_q 64, …` */
export function formatPlan({ schedule, knobs }: NonNullable<Row["plan"]>): string {
  return [schedule, ...Object.entries(knobs).map(([name, value]) => `${name} ${shownKnob(value)}`)].join(
    ", ",
  );
}

/** The baseline takes all rows at once, however many. */
export function shownKnob(value: number | string): number | string {
  return value === Number.MAX_SAFE_INTEGER ? "all" : value;
}

export function formatTime(time: number, unit: BenchReport["unit"]): string {
  return unit === "ns" ? formatMilliseconds(time / 1e6) : `${formatCount(Math.round(time))} cycles`;
}

export function formatRate(operationsPerSecond: number): string {
  return `${formatCount(operationsPerSecond)}op/s`;
}

/** `L^1.93 ± 4.1 %`; a line through two points has no misfit. */
export function formatGrowth({ exponent, residual, lengths }: BenchReport["growth"][number]): string {
  const power = `L^${exponent.toFixed(2)}`;
  return lengths.length === 2 ? power : `${power} ± ${Number((100 * residual).toPrecision(2))} %`;
}

export function formatProduct(report: BenchReport): string {
  const { product } = report;
  if ("reason" in product) return `none: ${product.reason}`;
  const rates = report.lengths.flatMap((length) =>
    length.product === null
      ? []
      : [`${formatRate(length.product.operationsPerSecond)} beside ${titleOf(length)}`],
  );
  return `f32, ${product.size} × ${product.size}, ${product.kernel}: ${rates.join(", ")}`;
}

function formatQuartiles({ low, high }: Spread, unit: BenchReport["unit"]): string {
  return `${formatTime(low, unit)} … ${formatTime(high, unit)}`;
}

function formatShare(share: number): string {
  return `${(100 * share).toPrecision(3)} %`;
}

function orNone<T>(value: T | null | undefined, format: (value: T) => string): string {
  return value === null || value === undefined ? NONE : format(value);
}
