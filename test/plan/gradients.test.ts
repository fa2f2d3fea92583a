import { describe, expect, test } from "vitest";
import { choosePlan, type Machine, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import { type CallSize, expandPlan } from "../../runtime/contract/expand.ts";
import { resultsOf } from "../../runtime/contract/index.ts";
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

  test("no other mask has one", () => {
    const plan = planOf("attention a { heads 4 head_dim 16 mask causal }");
    expect(plan.kernels.some(({ name }) => name.includes("bias"))).toBe(false);
    expect(resultsOf(plan, { ...size, dBias: [1, 4, 304, 320] }, true).map(({ name }) => name)).not.toContain(
      "d_bias",
    );
  });
});
