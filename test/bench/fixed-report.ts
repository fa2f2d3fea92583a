import type { BenchReport, LengthReport, Row, Spread } from "../../compiler/bench/report.ts";

/** A name that would do harm where it is taken for markup, or for a field's end. */
export const HOSTILE = `<script>alert("1")</script>,'&amp;`;

function spread(median: number): Spread {
  return { median, low: 0.9 * median, high: 1.2 * median, samples: 5, clock: "device" };
}

const EMPTY: Row = {
  subject: "",
  kind: "schedule",
  plan: null,
  chosen: false,
  tuned: false,
  version: null,
  runsOn: null,
  state: "measured",
  reason: null,
  error: { tensor: "o", error: 1.5e-7, bound: 5e-6 },
  time: null,
  speedup: null,
  timeOverForward: null,
  operationsPerSecond: null,
  shareOfProduct: null,
  peakBytes: null,
  bytesOverCompulsory: null,
  workspaceBytes: null,
};

function length(L: number, baseMs: number): LengthReport {
  const time = spread(baseMs * 1e6);
  return {
    shape: { B: 1, Lq: L, Lk: L, R: 0 },
    operations: 40 * L * L,
    compulsoryBytes: 100 * L,
    gradients: { operations: 120 * L * L, compulsoryBytes: 200 * L },
    product: { ...spread(2e6), operationsPerSecond: 2e9 },
    rows: [
      {
        ...EMPTY,
        subject: "unfused",
        kind: "baseline",
        plan: { schedule: "staged", knobs: { tile_q: 32, strip_rows: Number.MAX_SAFE_INTEGER } },
        time,
        speedup: 1,
        operationsPerSecond: 1e8,
        shareOfProduct: 0.05,
        peakBytes: 600 * L,
        bytesOverCompulsory: 6,
      },
      {
        ...EMPTY,
        subject: "two_pass",
        plan: { schedule: "two_pass", knobs: { tile_q: 16 } },
        chosen: true,
        time: spread(baseMs * 0.5e6),
        speedup: 2,
        operationsPerSecond: 2e8,
        shareOfProduct: 0.1,
        peakBytes: 110 * L,
        bytesOverCompulsory: 1.1,
        workspaceBytes: 10 * L,
      },
      {
        ...EMPTY,
        subject: "backward",
        kind: "backward",
        plan: { schedule: "staged", knobs: { strip: 16 } },
        error: { tensor: "d_k", error: 3e-7, bound: 2e-5 },
        time: spread(baseMs * 2e6),
        timeOverForward: 4,
        operationsPerSecond: 1.5e8,
        shareOfProduct: 0.075,
        peakBytes: 250 * L,
        bytesOverCompulsory: 1.25,
        workspaceBytes: 50 * L,
      },
      {
        ...EMPTY,
        subject: "tuned",
        kind: "tuned",
        plan: { schedule: "staged", knobs: { tile_q: 64 } },
        tuned: true,
        state: "wrong",
        reason: "o lies 3.0e-2 from the reference, at most 5e-6 is right",
        error: { tensor: "o", error: 0.03, bound: 5e-6 },
      },
      {
        ...EMPTY,
        subject: HOSTILE,
        kind: "peer",
        version: "1.0<b>",
        runsOn: `a "device" & more, in float32`,
        time: { ...spread(baseMs * 1.5e6), clock: "wall" },
        speedup: 0.67,
        operationsPerSecond: 7e7,
      },
    ],
  };
}

/** A report with every kind of row, and names that hold markup. */
export const FIXED_REPORT: BenchReport = {
  format: 1,
  provenance: {
    mtac: "0.0.0",
    node: "v20.0.0",
    platform: "linux x64",
    processor: "A processor",
    cores: 2,
    at: "2025-01-02T03:04:05.000Z",
  },
  spec: {
    file: "a<b>.mta",
    attention: "toy",
    text: "attention toy { // </pre><script>1</script>\n}\n",
    heads: 2,
    kvHeads: 1,
    headDim: 8,
    valueDim: 8,
    storage: "f32",
  },
  target: "webgpu",
  device: { description: "<img src=x onerror=alert(1)>", identity: "vendor|device" },
  unit: "ns",
  rounds: 5,
  seed: 1,
  product: { kernel: "registers 4×4", size: 256, operations: 2 * 256 ** 3 },
  missing: [{ name: "pytorch", lengths: [64, 128], reason: "there is no <python>", remedy: "install it" }],
  notes: ["single_pass is left out: it cannot"],
  lengths: [length(64, 2), length(128, 8)],
  growth: [
    { subject: "unfused", exponent: 2, residual: 0, lengths: [64, 128] },
    { subject: "two_pass", exponent: 2, residual: 0.0312, lengths: [64, 96, 128] },
  ],
  interrupted: false,
};
