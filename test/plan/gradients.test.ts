import { describe, expect, test } from "vitest";
import { choosePlan, type Machine, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import { verifyPlan } from "../../compiler/plan/verify/index.ts";
import { type CallSize, expandPlan } from "../../runtime/contract/expand.ts";
import { type LaunchField, launchBytes, resultsOf, writeFields } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { pipelineOf } from "../support/pipelines.ts";

// What plans for gradients dispatch.

const MACHINES: readonly (readonly [string, Machine])[] = [
  ["webgpu", webgpuMachine(WEBGPU_COMMON_LIMITS)],
  ["cuda", machineFor("sm_80")],
];

describe.each(MACHINES)("gradients on %s", (_, machine) => {
  const size: CallSize = { B: 3, Lq: 300, Lk: 320, R: 4, positions: false };
  const planOf = (spec: string) =>
    choosePlan(pipelineOf(spec, "a"), {
      machine,
      shape: { B: 1, Lq: 512, Lk: 512, R: 0 },
      direction: "backward",
    });

  test("that of a bias takes memory and dispatches where it is asked for, and nowhere else", () => {
    const plan = planOf("attention a { heads 4 head_dim 16 mask causal bias scores { conv 2x3 } }");
    const kernelsOf = (call: CallSize): readonly string[] =>
      expandPlan(plan, call).dispatches.map(({ kernel }) => kernel.name);
    const resultNames = (call: CallSize): readonly string[] =>
      resultsOf(plan, call, true).map(({ name }) => name);
    const ofBias = (name: string): boolean => name === "bias_gradient" || name === "clear_d_bias";
    expect(resultNames(size)).not.toContain("d_bias");
    expect(kernelsOf(size).some(ofBias)).toBe(false);
    const asked = { ...size, dBias: [1, 4, 304, 320] };
    expect(resultsOf(plan, asked, true).find(({ name }) => name === "d_bias")?.shape).toEqual(asked.dBias);
    expect(kernelsOf(asked).filter((name) => !ofBias(name))).toEqual(kernelsOf(size));
    const strips = kernelsOf(asked).filter((name) => name === "normalize_adjoint").length;
    expect(kernelsOf(asked).filter(ofBias).length).toBe(1 + strips);
  });

  test.each([
    { B: 1, Lq: 1, Lk: 2 ** 27 + 3, R: 5 },
    { B: 3, Lq: 2, Lk: 7, R: 0 },
  ])("what is cleared is all of a tensor, of more than 2^32 words, too: $Lk keys", (shape) => {
    const plan = planOf("attention a { heads 4 kv_heads 2 head_dim 18 mask bias scores { conv 1x3 } }");
    const call = { ...shape, positions: false, dBias: [shape.B, 4, shape.R + shape.Lq, shape.Lk] };
    const cleared = expandPlan(plan, call).dispatches.flatMap(({ kernel, launch, grid }) => {
      if (kernel.program?.kind !== "clear") return [];
      // As the kernel reads it: each field has 32 bits.
      const view = new DataView(new ArrayBuffer(launchBytes(kernel.launch)));
      writeFields(view, 0, kernel.launch, {}, launch);
      const field = (name: LaunchField): number => view.getUint32(4 * kernel.launch.indexOf(name), true);
      expect(grid[0]).toBeGreaterThan(0);
      return [[kernel.name, field("parts") * field("count")] as const];
    });
    const { B, Lk, R } = call;
    const history = R === 0 ? [] : [["clear_d_q_history", B * 4 * R * 18] as const];
    const expected = [
      ["clear_d_k", B * 2 * Lk * 18] as const,
      ["clear_d_v", B * 2 * Lk * 18] as const,
      ...history,
      ["clear_d_bias", B * 4 * (R + shape.Lq) * Lk] as const,
      ["clear_d_parameters", 4 * 3] as const,
    ];
    expect(cleared).toEqual(expected);
    if (Lk > 7) expect(cleared.every(([name, words]) => !/_k|_v/.test(name) || words > 2 ** 32)).toBe(true);
  });

  test("no other mask has one", () => {
    const plan = planOf("attention a { heads 4 head_dim 16 mask causal }");
    expect(plan.kernels.some(({ name }) => name.includes("bias"))).toBe(false);
    expect(resultsOf(plan, { ...size, dBias: [1, 4, 304, 320] }, true).map(({ name }) => name)).not.toContain(
      "d_bias",
    );
  });
});

test("strips on tensor cores are whole parts of warps where nothing lies around them, and they gain two such parts", () => {
  const heightsOf = (stages: string, L: number): readonly number[] => {
    const plan = choosePlan(
      pipelineOf(`attention a { dtype f16 heads 16 head_dim 64 mask causal ${stages} }`, "a"),
      {
        machine: machineFor("sm_80"),
        shape: { B: 1, Lq: 512, Lk: 512, R: 0 },
        direction: "backward",
      },
    );
    expect(plan.knobs["lowering"]).toBe("tensor");
    const size: CallSize = { B: 1, Lq: L, Lk: L, R: 0, positions: false };
    verifyPlan(plan, [size]);
    const { dispatches } = expandPlan(plan, size);
    return dispatches.flatMap(({ kernel, launch: { row_begin = 0, row_end = 0 } }) =>
      kernel.name === "query_gradient" ? [row_end - row_begin] : [],
    );
  };
  const mixed = "scores { mix 16 } weights { mix 16 }";
  const heights = heightsOf(mixed, 512);
  expect(heights.slice(0, -1).every((rows) => rows % 32 === 0)).toBe(true);
  expect(heights.length).toBeGreaterThan(1);
  expect(heights.reduce((sum, rows) => sum + rows, 0)).toBe(512);
  // Lower strips would be gone through too often.
  expect(Math.max(...heightsOf(mixed, 4096))).toBeLessThan(32);
  expect(heightsOf("scores { conv 6x11 } weights { mix 16 }", 512)[0]).not.toBe(heights[0]);
});
