import type { Measurement, Rejection, TuningKey } from "../../compiler/tune/record.ts";

export const KEY: TuningKey = {
  mtac: "1.2.3",
  spec: "a".repeat(64),
  target: "webgpu",
  device: "Some GPU, driver 1.0",
  storage: "f32",
  bucket: { B: 1, Lq: 1024, Lk: 1024, R: 0 },
};

const FINDING = {
  format: 1,
  key: KEY,
  candidate: { schedule: "single_pass", knobs: { tile_q: 16, workgroup: 64 }, source: "one" },
  sweep: "sweep",
  shape: { B: 1, Lq: 1000, Lk: 1000, R: 0 },
  at: "2025-01-01T00:00:00.000Z",
} as const;

/** A measurement of the candidate whose source is "one", unless told otherwise. */
export function measured(changes: Partial<Measurement> & { source?: string } = {}): Measurement {
  const { source = "one", ...rest } = changes;
  return {
    ...FINDING,
    candidate: { ...FINDING.candidate, source },
    kind: "measured",
    rung: 0,
    clock: "device",
    unit: "ns",
    median: 1000,
    low: 900,
    high: 1100,
    samples: 20,
    ...rest,
  };
}

export function rejected(changes: Partial<Rejection> & { source?: string } = {}): Rejection {
  const { source = "one", ...rest } = changes;
  return {
    ...FINDING,
    candidate: { ...FINDING.candidate, source },
    kind: "rejected",
    reason: "wrong",
    code: "MTA000",
    message: "o differs by 0.5",
    ...rest,
  };
}
