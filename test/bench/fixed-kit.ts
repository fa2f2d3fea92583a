/** What a kit's runner writes, in small: one attention, timed at two lengths on a GPU, with a step that went wrong. */
export const FIXED_KIT = {
  format: "mtac gpu kit",
  version: 1,
  kit: {
    mtac: "0.1.0",
    made: "2026-01-01T00:00:00.000Z",
    packages: [
      {
        name: "toy",
        role: "spec",
        attentions: ["toy"],
        text: "attention toy { heads 2 head_dim 64 mask causal scores { conv 2x9 } }",
      },
    ],
  },
  began: "2026-01-02T03:04:05+00:00",
  minutes: 8,
  seed: 7,
  finished: true,
  steps: [
    step("environment", "device, driver, PyTorch, clocks", "passed", [
      {
        name: "machine",
        status: "passed",
        data: {
          platform: "Linux",
          processor: "Processor",
          cores: 16,
          python: "3.12",
          torch: "2.13",
          cuda: "13.0",
        },
      },
      {
        name: "device",
        status: "passed",
        data: { name: "Device", capability: "sm_90", nvidiaSmi: { driver_version: "600.1" } },
      },
    ]),
    step("random", "random calls against float64", "hung", [
      { name: "toy bf16 seed 7", status: "hung", reason: "it took too long and was stopped\nmore" },
    ]),
    step("timing", "times and memory beside other attention", "passed", [
      timing(1024, "mtac", 1),
      timing(1024, "sdpa flash", 0.5),
      timing(1024, "plain", 4),
      timing(4096, "mtac", 15),
      timing(4096, "sdpa flash", 8),
      { name: "toy bf16 L 4096: plain", status: "skipped", reason: "no memory: 100 GiB" },
    ]),
    step("schedules", "other plans of the planner", "passed", [
      candidate("staged, tile_q 64", 2, false),
      candidate("two_pass", 3, true),
    ]),
    {
      ...step("sanitizer", "compute-sanitizer: memory and races", "missing", []),
      lacking: "compute-sanitizer",
    },
  ],
};

function step(name: string, title: string, status: string, cases: readonly object[]) {
  return { name, title, status, lacking: null, seconds: 1.5, limit: 10, cases };
}

function time(milliseconds: number) {
  const median = milliseconds * 1e6;
  return { median, low: 0.9 * median, high: 1.1 * median, samples: 9, clock: "device", peakBytes: 2 ** 20 };
}

function timing(length: number, subject: string, milliseconds: number) {
  return {
    name: `toy bf16 L ${length}: ${subject}`,
    status: "passed",
    data: {
      package: "toy",
      attention: "toy",
      type: "bf16",
      batch: 16384 / length,
      length,
      subject,
      forward: time(milliseconds),
      backward: time(3 * milliseconds),
    },
  };
}

function candidate(plan: string, milliseconds: number, first: boolean) {
  const of = { of: "toy", direction: "forward", plan, first, type: "bf16", length: 4096 };
  return { name: `toy forward: ${plan}`, status: "passed", data: { ...of, time: time(milliseconds) } };
}
