import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import { regionAt } from "../../compiler/plan/chain.ts";
import { convAt, mixAt } from "../../compiler/plan/graph.ts";
import {
  CUDA_ARCHITECTURES,
  cudaMachine,
  estimate,
  type KernelWork,
  type Machine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { mapEntries } from "../../compiler/plan/map-entries.ts";
import { NO_COUNTS } from "../../compiler/plan/work.ts";
import type { FusedProgram } from "../../runtime/contract/index.ts";
import { attentionWith, convStage, mixStage } from "../support/attentions.ts";

const MACHINES: readonly (readonly [string, Machine])[] = [
  ["webgpu", webgpuMachine(WEBGPU_COMMON_LIMITS)],
  ...CUDA_ARCHITECTURES.map((each) => [each.name, cudaMachine(each)] as const),
];

const KERNEL: KernelWork = {
  kernel: "k",
  ...NO_COUNTS,
  matrixMultiplyAdds: 1e9,
  f32MultiplyAdds: 1e8,
  instructions: 1e7,
  launches: 1,
  blocks: 432,
  barriers: 0,
  block: { threads: 128, sharedBytes: 8192, registers: 64, criticalPath: 0, copiesAhead: true },
};

describe.each(MACHINES)("on %s", (_name, machine) => {
  test.each(["f16", "f32"] as const)("every candidate of %s is ranked by its work alone", (dtype) => {
    const scores = [convStage({ query: 3, key: 5 })];
    const pipeline = resolve(attentionWith({ headDim: 64, valueDim: 64, dtype, scores }), "a.mta");
    const shape = { B: 2, Lq: 300, Lk: 300, R: 0 };
    const legal = planCandidates(pipeline, { machine, shape }).filter(({ reason }) => reason === null);
    const lowerings = new Set(legal.map(({ knobs }) => knobs["lowering"]));
    if (machine.target === "cuda" && dtype === "f16")
      expect([...lowerings]).toEqual(expect.arrayContaining(["direct", "toeplitz"]));
    let before = 0;
    for (const { cost, work, knobs } of legal) {
      const time = work.reduce((sum, each) => sum + estimate(each, machine.rates).time, 0);
      expect((cost?.time ?? 0) / time, JSON.stringify(knobs)).toBeCloseTo(1, 9);
      expect(time).toBeGreaterThanOrEqual(before * (1 - 1e-9));
      before = time;
    }
  });
});

describe("an estimate, by hand", () => {
  const { rates } = cudaMachine(CUDA_ARCHITECTURES[0] ?? expect.fail("sm_80"));

  test("is the busiest unit's time, 15 % of the others', and the launch", () => {
    // 1e9 / 1024 cycles of tensor cores, 1e8 / 64 of f32 units, 1e7 / 4 of issue, over 108 processors.
    const cycles = (1e7 / 4 + 0.15 * (1e9 / 1024 + 1e8 / 64)) / 108 + 4000;
    expect(estimate(KERNEL, rates).time).toBeCloseTo(cycles, 6);
    expect(estimate(KERNEL, rates)).toMatchObject({
      bound: "instruction issue",
      occupancy: (8 * 128) / 2048,
    });
  });

  test("counts every launch", () => {
    const eight = estimate({ ...KERNEL, launches: 8, blocks: 8 * 432 }, rates);
    expect(eight.time).toBeCloseTo(estimate(KERNEL, rates).time + 7 * 4000, 6);
  });

  test("of fewer blocks than processors leaves some idle", () => {
    const busy = estimate(KERNEL, rates).time - 4000;
    expect((estimate({ ...KERNEL, blocks: 54 }, rates).time - 4000) / busy).toBeCloseTo(2, 9);
  });

  test("of kernels that wait for loads grows where few warps are resident", () => {
    const waits = { ...KERNEL, block: { ...KERNEL.block, copiesAhead: false, sharedBytes: 160 * 1024 } };
    // One block, of four warps, with three of which half of the latencies are hidden.
    expect((estimate(waits, rates).time - 4000) / (estimate(KERNEL, rates).time - 4000)).toBeCloseTo(
      7 / 4,
      9,
    );
  });
});

describe("programs' indices", () => {
  const pipeline = resolve(
    attentionWith({ scores: [convStage({ query: 1, key: 3 }), mixStage(2)] }),
    "a.mta",
  );

  test("name what there is, or nothing is costed", () => {
    expect(convAt(pipeline, { section: "scores", index: 0 }).kind).toBe("conv");
    expect(mixAt(pipeline, { section: "scores", index: 1 }).kind).toBe("mix");
    expect(() => convAt(pipeline, { section: "scores", index: 1 })).toThrow(RangeError);
    expect(() => mixAt(pipeline, { section: "weights", index: 0 })).toThrow(RangeError);
    const plan = planCandidates(pipeline, {
      machine: webgpuMachine(WEBGPU_COMMON_LIMITS),
      shape: { B: 1, Lq: 64, Lk: 64, R: 0 },
      schedule: "single_pass",
    })[0]?.plan;
    const program = plan?.kernels[0]?.program as FusedProgram;
    expect(regionAt(program, program.final)).toBe(program.regions[program.final]);
    expect(() => regionAt(program, program.regions.length)).toThrow("the plan names region");
  });
});

test("strips hold several batch entries where their maps fit, on every machine", () => {
  const pipeline = resolve(attentionWith({ heads: 2, mask: [] }), "a.mta");
  const none = { past: 0, future: 0, left: 0, right: 0 };
  // A map's row is 64 columns of two heads: 1024 bytes of two f32 maps, so 64 rows of four entries are 256 KiB.
  const launches = (stripBytes: number): number =>
    mapEntries(pipeline, { B: 8, Lq: 64, Lk: 64, R: 0 }, { stripRows: 64, stripBytes, entryBytes: 4 }, none, {
      rows: 4,
      keys: 4,
    }).launches;
  expect(launches(64 * 1024)).toBe(8);
  expect(launches(4 * 64 * 1024)).toBe(2);
  expect(launches(32 * 1024)).toBe(16);
});
