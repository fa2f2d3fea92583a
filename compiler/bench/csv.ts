import { type BenchReport, floorsOf, type LengthReport, type Row } from "./report.ts";
import { shownKnob } from "./summary.ts";

type Field = string | number | boolean | null | undefined;

/** One line a subject and length; times in the report's unit. */
const COLUMNS: readonly (readonly [
  name: string,
  of: (row: Row, length: LengthReport, report: BenchReport) => Field,
])[] = [
  ["attention", (_row, _length, { spec }) => spec.attention],
  ["storage", (_row, _length, { spec }) => spec.storage],
  ["target", (_row, _length, { target }) => target],
  ["device", (row, _length, { device }) => row.runsOn ?? device.description],
  ["batch", (_row, { shape }) => shape.B],
  ["length", (_row, { shape }) => shape.Lq],
  ["subject", ({ subject }) => subject],
  ["kind", ({ kind }) => kind],
  ["version", ({ version }) => version],
  ["schedule", ({ plan }) => plan?.schedule],
  ["knobs", ({ plan }) => plan && knobs(plan.knobs)],
  ["chosen", ({ chosen }) => chosen],
  ["tuned", ({ tuned }) => tuned],
  ["state", ({ state }) => state],
  ["reason", ({ reason }) => reason],
  ["unit", (_row, _length, { unit }) => unit],
  ["median", ({ time }) => time?.median],
  ["low", ({ time }) => time?.low],
  ["high", ({ time }) => time?.high],
  ["samples", ({ time }) => time?.samples],
  ["clock", ({ time }) => time?.clock],
  ["speedup", ({ speedup }) => speedup],
  ["time_over_forward", ({ timeOverForward }) => timeOverForward],
  ["operations", (row, length) => floorsOf(row, length).operations],
  ["operations_per_second", ({ operationsPerSecond }) => operationsPerSecond],
  ["product_operations_per_second", (_row, { product }) => product?.operationsPerSecond],
  ["share_of_product", ({ shareOfProduct }) => shareOfProduct],
  ["peak_bytes", ({ peakBytes }) => peakBytes],
  ["compulsory_bytes", (row, length) => floorsOf(row, length).compulsoryBytes],
  ["bytes_over_compulsory", ({ bytesOverCompulsory }) => bytesOverCompulsory],
  ["workspace_bytes", ({ workspaceBytes }) => workspaceBytes],
  ["error", ({ error }) => error?.error],
  ["error_bound", ({ error }) => error?.bound],
  ["growth_exponent", ({ subject }, _length, report) => growth(report, subject)?.exponent],
  ["growth_residual", ({ subject }, _length, report) => growth(report, subject)?.residual],
];

/** The rows of reports as RFC 4180 has them: CRLF between lines, a field quoted where it must be; nothing where there is no value. */
export function toCsv(reports: readonly BenchReport[]): string {
  const lines = reports.flatMap((report) =>
    report.lengths.flatMap((length) =>
      length.rows.map((row) => COLUMNS.map(([, of]) => csvField(of(row, length, report)))),
    ),
  );
  return [COLUMNS.map(([name]) => name), ...lines].map((fields) => `${fields.join(",")}\r\n`).join("");
}

export function csvField(value: Field): string {
  // The largest number stands for "without a bound": no value, to whoever adds a column up.
  const text = value === Number.MAX_SAFE_INTEGER ? "" : String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function knobs(values: Readonly<Record<string, number | string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${shownKnob(value)}`)
    .join(" ");
}

function growth({ growth: all }: BenchReport, subject: string): BenchReport["growth"][number] | undefined {
  return all.find((each) => each.subject === subject);
}
