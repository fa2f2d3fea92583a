import { SCHEDULES, type ShapeBucket, type StorageForm } from "../../runtime/contract/index.ts";
import { METERED_TARGETS } from "../targets.ts";
import { type Fields, fieldsOf, textOf, timeOf, ValueFault, wholeNumberOf, wordOf } from "./read-value.ts";
import {
  CLOCKS,
  REJECTIONS,
  type TunedCandidate,
  type TuningKey,
  type TuningRecord,
  UNITS,
} from "./record.ts";

/** A table, so that a form that is added cannot be forgotten here. */
const STORAGE_FORMS: { readonly [Form in StorageForm]: Form } = {
  f32: "f32",
  "f16-native": "f16-native",
  "f16-packed": "f16-packed",
  "bf16-native": "bf16-native",
  "bf16-packed": "bf16-packed",
};

/**
 * Checks a record that came from outside; fields that no record has are left out.
 * @throws ValueFault
 */
export function readRecord(value: unknown): TuningRecord {
  const fields = fieldsOf(value, "the record");
  const { format, key, candidate, shape } = fields;
  if (format !== 1) throw new ValueFault("its format is not that of this version of mtac");
  const at = textOf(fields, "at");
  if (Number.isNaN(Date.parse(at))) throw new ValueFault("at is no date");
  const finding = {
    format: 1 as const,
    key: readKey(key),
    candidate: readCandidate(candidate),
    sweep: textOf(fields, "sweep"),
    shape: readSizes(shape, "shape"),
    at,
  };
  const kind = wordOf(fields, "kind", ["measured", "rejected"]);
  if (kind === "rejected")
    return {
      ...finding,
      kind,
      reason: wordOf(fields, "reason", REJECTIONS),
      code: textOf(fields, "code"),
      message: textOf(fields, "message"),
    };
  return {
    ...finding,
    kind,
    rung: wholeNumberOf(fields, "rung", 0),
    clock: wordOf(fields, "clock", CLOCKS),
    unit: wordOf(fields, "unit", UNITS),
    median: timeOf(fields, "median"),
    low: timeOf(fields, "low"),
    high: timeOf(fields, "high"),
    samples: wholeNumberOf(fields, "samples", 1),
    ...readFirst(fields),
  };
}

function readFirst({ first }: Fields): { first?: true } {
  if (first === undefined) return {};
  if (first !== true) throw new ValueFault("first is not true");
  return { first };
}

/** @throws ValueFault */
export function readKey(value: unknown): TuningKey {
  const fields = fieldsOf(value, "key");
  const { bucket, direction } = fields;
  return {
    mtac: textOf(fields, "mtac"),
    spec: textOf(fields, "spec"),
    target: wordOf(fields, "target", METERED_TARGETS),
    ...(direction === undefined ? {} : { direction: wordOf(fields, "direction", ["backward"]) }),
    device: textOf(fields, "device"),
    storage: wordOf(fields, "storage", Object.values(STORAGE_FORMS)),
    bucket: readSizes(bucket, "bucket"),
  };
}

/** @throws ValueFault */
export function readCandidate(value: unknown): TunedCandidate {
  const fields = fieldsOf(value, "candidate");
  const { knobs: given } = fields;
  const knobs: Record<string, number | string> = {};
  for (const [name, knob] of Object.entries(fieldsOf(given, "knobs"))) {
    if (typeof knob !== "string" && (typeof knob !== "number" || !Number.isFinite(knob)))
      throw new ValueFault(`the knob ${name} is neither a number nor a name`);
    knobs[name] = knob;
  }
  return { schedule: wordOf(fields, "schedule", SCHEDULES), knobs, source: textOf(fields, "source") };
}

/** Four sizes: a shape, or a bucket. @throws ValueFault */
export function readSizes(value: unknown, at: string): ShapeBucket {
  const fields = fieldsOf(value, at);
  return {
    B: wholeNumberOf(fields, "B", 1),
    Lq: wholeNumberOf(fields, "Lq", 1),
    Lk: wholeNumberOf(fields, "Lk", 1),
    R: wholeNumberOf(fields, "R", 0),
  };
}
