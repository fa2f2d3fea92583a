import type { CallShape } from "../../runtime/contract/index.ts";
import type { MeteredTarget } from "../targets.ts";
import { malformedTuning } from "./errors.ts";
import { readCandidate, readKey, readSizes } from "./read-record.ts";
import { fieldsOf, textOf, timeOf, ValueFault, wordOf } from "./read-value.ts";
import { type TimeUnit, type TunedCandidate, type TuningKey, type TuningRecord, UNITS } from "./record.ts";
import { groupByKey, winnerOf } from "./winner.ts";

export interface TunedEntry {
  readonly key: TuningKey;
  readonly candidate: TunedCandidate;
  /** The very shape that was measured. */
  readonly shape: CallShape;
  readonly median: number;
  readonly unit: TimeUnit;
}

/** The winners of a store, to be shipped beside a launcher. */
export interface TuningExport {
  readonly format: 1;
  /** Version of mtac: that of every entry. */
  readonly mtac: string;
  readonly entries: readonly TunedEntry[];
}

export interface ExportFilter {
  /** Version of mtac: results of other versions are not used. */
  readonly mtac: string;
  /** Hashes of specs; all if not given. */
  readonly specs?: ReadonlySet<string>;
  readonly target?: MeteredTarget;
}

/** The winner of each key that passes the filter, in the order in which the keys occur in the records. */
export function exportTuning(records: readonly TuningRecord[], filter: ExportFilter): TuningExport {
  const entries = groupByKey(records.filter(({ key }) => passes(key, filter))).flatMap(([key, own]) => {
    const winner = winnerOf(own, key);
    if (winner === null) return [];
    const { shape, median, unit } = winner.measurement;
    return [{ key, candidate: winner.candidate, shape, median, unit }];
  });
  return { format: 1, mtac: filter.mtac, entries };
}

export function passes(key: TuningKey, { mtac, specs, target }: ExportFilter): boolean {
  return (
    key.mtac === mtac &&
    (specs === undefined || specs.has(key.spec)) &&
    (target === undefined || key.target === target)
  );
}

/**
 * Reads the text of a file of exported results.
 *
 * @throws MtacError MTA874
 */
export function parseTuningExport(text: string, file: string): TuningExport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformedTuning(file, cause instanceof Error ? cause.message : String(cause));
  }
  return readTuningExport(value, file);
}

/**
 * Checks what was read from a file of exported results.
 *
 * @param file For messages.
 * @throws MtacError MTA874
 */
export function readTuningExport(value: unknown, file: string): TuningExport {
  try {
    const fields = fieldsOf(value, "the file");
    const { format, entries } = fields;
    if (format !== 1) throw new ValueFault("its format is not that of this version of mtac");
    const mtac = textOf(fields, "mtac");
    if (!Array.isArray(entries)) throw new ValueFault("entries is no list");
    return { format: 1, mtac, entries: entries.map((entry, index) => readEntry(entry, index, mtac)) };
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw malformedTuning(file, error.message);
  }
}

function readEntry(value: unknown, index: number, mtac: string): TunedEntry {
  try {
    const fields = fieldsOf(value, "it");
    const { key: given, candidate, shape } = fields;
    const key = readKey(given);
    if (key.mtac !== mtac) throw new ValueFault("its version of mtac is not the file's");
    return {
      key,
      candidate: readCandidate(candidate),
      shape: readSizes(shape, "shape"),
      median: timeOf(fields, "median"),
      unit: wordOf(fields, "unit", UNITS),
    };
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new ValueFault(`entry ${index + 1}: ${error.message}`);
  }
}
