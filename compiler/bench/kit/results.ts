import { MtacError } from "../../../runtime/contract/errors.ts";
import type { StorageType } from "../../../runtime/contract/storage.ts";
import {
  type Fields,
  fieldsOf,
  textOf,
  timeOf,
  ValueFault,
  wholeNumberOf,
  wordOf,
} from "../../tune/read-value.ts";

/** What the runner writes: `FORMAT` and `VERSION` of `runner/kit/results.py`. */
const FORMAT = "mtac gpu kit";
const VERSION = 1;

const STORAGES = ["f32", "f16", "bf16"] as const satisfies readonly StorageType[];

/** The worst last: a step is in the state of its worst case. */
export const STEP_STATES = ["passed", "missing", "unfinished", "wrong", "failed", "crashed", "hung"] as const;
export type StepState = (typeof STEP_STATES)[number];

export const CASE_STATES = ["passed", "skipped", "wrong", "failed", "crashed", "hung"] as const;
export type CaseState = (typeof CASE_STATES)[number];

/** What a run of a GPU kit found. */
export interface KitResults {
  /** The version of mtac that made the kit. */
  readonly mtac: string;
  readonly packages: readonly { readonly name: string; readonly text: string }[];
  readonly began: string;
  readonly minutes: number;
  readonly seed: number;
  /** Whether all steps had their turn. */
  readonly finished: boolean;
  readonly steps: readonly KitStep[];
}

export interface KitStep {
  readonly name: string;
  readonly title: string;
  readonly status: StepState;
  /** What the machine lacks for it. */
  readonly lacking: string | null;
  readonly seconds: number;
  readonly cases: readonly KitCase[];
}

export interface KitCase {
  readonly name: string;
  readonly status: CaseState;
  readonly reason: string | null;
  /** What the step measured or tells, step by step another object. */
  readonly data: Fields;
}

/** Of one pass, in nanoseconds. */
export interface KitTime {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly samples: number;
  readonly clock: "device" | "wall";
  readonly peakBytes: number | null;
}

/** Times of one implementation at one length: a case of the steps `timing` and `timing_others`. */
export interface KitTiming {
  readonly package: string;
  readonly attention: string;
  readonly type: StorageType;
  readonly batch: number;
  readonly length: number;
  readonly subject: string;
  readonly forward: KitTime;
  /** null: it could not be timed, though the forward pass was. */
  readonly backward: KitTime | null;
}

/** Times of another plan: a case of the step `schedules`. */
export interface KitCandidate {
  readonly of: string;
  readonly direction: "forward" | "backward";
  readonly plan: string;
  readonly first: boolean;
  readonly type: StorageType;
  readonly length: number;
  readonly time: KitTime;
}

/**
 * Reads what a kit's `run.py` wrote.
 *
 * @param name What to call the file.
 * @throws MtacError MTA934: it is something else, of another version, or damaged.
 */
export function readKitResults(text: string, name: string): KitResults {
  let value: unknown;
  try {
    // Editors and shells of Windows begin files with a byte order mark.
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    throw noResults(`${name} is no JSON`);
  }
  try {
    return readResults(value);
  } catch (fault) {
    if (fault instanceof ValueFault) throw noResults(`${name}: ${fault.message}`);
    throw fault;
  }
}

function noResults(message: string): MtacError {
  return new MtacError("MTA934", "input", message, {
    remedy:
      "give what `python3 run.py` of a kit wrote; `npm run gpu:kit` of the same version of mtac makes kits",
  });
}

function readResults(value: unknown): KitResults {
  const fields = fieldsOf(value, "the file");
  if (fields["format"] !== FORMAT) throw new ValueFault("it is no result of a GPU kit");
  if (fields["version"] !== VERSION)
    throw new ValueFault(`its version is ${String(fields["version"])}, this mtac reads ${VERSION}`);
  const kit = fieldsOf(fields["kit"], "kit");
  return {
    mtac: textOf(kit, "mtac"),
    packages: listOf(kit, "packages").map((each) => {
      const entry = fieldsOf(each, "a package");
      return { name: textOf(entry, "name"), text: textOf(entry, "text") };
    }),
    began: textOf(fields, "began"),
    minutes: timeOf(fields, "minutes"),
    seed: wholeNumberOf(fields, "seed", 0),
    finished: fields["finished"] === true,
    steps: listOf(fields, "steps").map(readStep),
  };
}

function readStep(value: unknown): KitStep {
  const fields = fieldsOf(value, "a step");
  return {
    name: textOf(fields, "name"),
    title: textOf(fields, "title"),
    status: wordOf(fields, "status", STEP_STATES),
    lacking: fields["lacking"] === null ? null : textOf(fields, "lacking"),
    seconds: timeOf(fields, "seconds"),
    cases: listOf(fields, "cases").map(readCase),
  };
}

function readCase(value: unknown): KitCase {
  const fields = fieldsOf(value, "a case");
  return {
    name: textOf(fields, "name"),
    status: wordOf(fields, "status", CASE_STATES),
    reason: fields["reason"] === undefined ? null : textOf(fields, "reason"),
    data: fields["data"] === undefined ? {} : fieldsOf(fields["data"], "data"),
  };
}

/** Those of a step that were timed. @throws MtacError MTA934 */
export function timingsOf(steps: readonly KitStep[]): readonly KitTiming[] {
  return measured(steps, ["timing", "timing_others"], readTiming);
}

/** @throws MtacError MTA934 */
export function candidatesOf(steps: readonly KitStep[]): readonly KitCandidate[] {
  return measured(steps, ["schedules"], readCandidate);
}

function measured<T>(
  steps: readonly KitStep[],
  names: readonly string[],
  read: (data: Fields) => T,
): readonly T[] {
  return steps
    .filter(({ name }) => names.includes(name))
    .flatMap(({ cases }) =>
      cases
        .filter(({ status }) => status === "passed")
        .map(({ name, data }) => {
          try {
            return read(data);
          } catch (fault) {
            if (fault instanceof ValueFault) throw noResults(`the case ${name}: ${fault.message}`);
            throw fault;
          }
        }),
    );
}

function readTiming(data: Fields): KitTiming {
  return {
    package: textOf(data, "package"),
    attention: textOf(data, "attention"),
    type: wordOf(data, "type", STORAGES),
    batch: wholeNumberOf(data, "batch", 1),
    length: wholeNumberOf(data, "length", 1),
    subject: textOf(data, "subject"),
    forward: readTime(data["forward"]),
    backward: data["backward"] === null ? null : readTime(data["backward"]),
  };
}

function readCandidate(data: Fields): KitCandidate {
  return {
    of: textOf(data, "of"),
    direction: wordOf(data, "direction", ["forward", "backward"]),
    plan: textOf(data, "plan"),
    first: data["first"] === true,
    type: wordOf(data, "type", STORAGES),
    length: wholeNumberOf(data, "length", 1),
    time: readTime(data["time"]),
  };
}

function readTime(value: unknown): KitTime {
  const fields = fieldsOf(value, "a time");
  return {
    median: timeOf(fields, "median"),
    low: timeOf(fields, "low"),
    high: timeOf(fields, "high"),
    samples: wholeNumberOf(fields, "samples", 1),
    clock: wordOf(fields, "clock", ["device", "wall"]),
    peakBytes: fields["peakBytes"] === null ? null : wholeNumberOf(fields, "peakBytes", 0),
  };
}

function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new ValueFault(`${name} is no list`);
  return value;
}
