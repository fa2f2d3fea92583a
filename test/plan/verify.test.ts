import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import {
  cpuMachine,
  type Machine,
  planCandidates,
  WEBGPU_DEFAULT_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import {
  PLAN_RULES,
  PlanFault,
  type PlanRule,
  SAMPLE_CALLS,
  verifyPlan,
} from "../../compiler/plan/verify/index.ts";
import type { Expression, Plan, Schedule, Step, Target } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import {
  attentionWith,
  convStage,
  gateStage,
  mixStage,
  normStage,
  softcapStage,
} from "../support/attentions.ts";
import { changedAt } from "../support/changed.ts";

/** One convolution before the softmax and one after it, all heads mixed, on maps: every kind of kernel there is. */
const STAGED: Partial<Attention> = {
  mask: [{ kind: "causal" }, { kind: "documents" }],
  scores: [convStage(), softcapStage(4)],
  weights: [convStage({ key: 5 }), mixStage(2)],
  output: [normStage()],
};
const TENSOR: Partial<Attention> = { headDim: 64, valueDim: 64, dtype: "f16", scores: [convStage()] };
/** Between two stages that are no products: what passes back is looked through for its largest size. */
const MIXED: Partial<Attention> = { ...TENSOR, scores: [softcapStage(20), mixStage(2), softcapStage(30)] };

const MACHINES: Readonly<Record<Target, Machine>> = {
  webgpu: webgpuMachine(WEBGPU_DEFAULT_LIMITS),
  cuda: machineFor("sm_80"),
  cpu: cpuMachine(),
};

function planOf(
  changes: Partial<Attention>,
  schedule: Schedule,
  target: Target = "webgpu",
  lowering?: string,
  direction?: "backward",
): Plan {
  const machine = MACHINES[target];
  const shape = { B: 1, Lq: 512, Lk: 512, R: 0 };
  const found = planCandidates(resolve(attentionWith(changes), "a.mta"), {
    machine,
    shape,
    schedule,
    ...(direction === undefined ? {} : { direction }),
  }).find(
    ({ reason, knobs }) => reason === null && (lowering === undefined || knobs["lowering"] === lowering),
  );
  if (found === undefined || found.plan === null) throw new Error(`no ${schedule} plan`);
  return found.plan;
}

const staged = planOf(STAGED, "staged");
const two = planOf({ ...STAGED, output: [gateStage("channel")] }, "two_pass");
const single = planOf({ scores: [convStage()], output: [normStage()] }, "single_pass");
const tensor = planOf(TENSOR, "single_pass", "cuda", "toeplitz");
const folded = planOf(TENSOR, "single_pass", "cuda", "folded");
const gradients = planOf(TENSOR, "staged", "cuda", "tensor", "backward");
const mixed = planOf(MIXED, "staged", "cuda", "tensor", "backward");
const library = planOf(STAGED, "staged", "cpu");

type Path = readonly (string | number)[];

/** The place of a kernel, of its program, of a field of it. */
function at(plan: Plan, kernel: string, ...path: Path): Path {
  const index = plan.kernels.findIndex(({ name }) => name === kernel);
  if (index < 0) throw new Error(`no kernel ${kernel} among ${plan.kernels.map(({ name }) => name)}`);
  return ["kernels", index, ...path];
}

function program(plan: Plan, kernel: string, ...path: Path): Path {
  return at(plan, kernel, "program", ...path);
}

/** The place of what a kernel binds. */
function binding(plan: Plan, kernel: string, resource: string, ...path: Path): Path {
  const bindings = plan.kernels.find(({ name }) => name === kernel)?.bindings ?? [];
  const index = bindings.findIndex((each) => each.resource === resource);
  if (index < 0) throw new Error(`${kernel} binds ${bindings.map((each) => each.resource)}`);
  return at(plan, kernel, "bindings", index, ...path);
}

/** The place of the step that dispatches a kernel, or of the loop over a variable. */
function step(plan: Plan, name: string, ...path: Path): Path {
  const search = (steps: readonly Step[], before: Path): Path | null => {
    for (const [index, each] of steps.entries()) {
      const here = [...before, index];
      if (name === (each.kind === "loop" ? each.variable : each.kernel)) return here;
      const inside = each.kind === "loop" ? search(each.body, [...here, "body"]) : null;
      if (inside !== null) return inside;
    }
    return null;
  };
  const found = search(plan.steps, ["steps"]);
  if (found === null) throw new Error(`no step ${name}`);
  return [...found, ...path];
}

/** Rows enough for two strips. */
const CALLS = [...SAMPLE_CALLS, { B: 3, Lq: 150, Lk: 150, R: 0, positions: false }];

/** A good plan, what in it is changed, and to what. */
type Break = readonly [plan: Plan, path: Path, value: unknown];

const less = (by: number) => (value: number) => value - by;
const more = (by: number) => (value: number) => value + by;
const without = (index: number) => (list: readonly unknown[]) => list.filter((_, each) => each !== index);

const BREAKS: Readonly<Record<PlanRule, readonly Break[]>> = {
  names: [
    [staged, at(staged, "product", "name"), "scores"],
    [staged, ["workspace", 1, "name"], staged.workspace[0]?.name],
    [staged, ["definitions", 0, "name"], "Lq"],
    [staged, step(staged, "batch", "variable"), "strip"],
  ],
  variables: [
    [staged, ["workspace", 0, "bytes"], ["mul", 4, "row"]],
    [staged, ["definitions", 0, "value"], "strip"],
    [staged, ["definitions", 0, "value"], ["sub", "Lq"]],
    [staged, step(staged, "scores", "grid", 0), "tile"],
    [single, at(single, "attention", "overrides"), { HISTORY: "tile" }],
  ],
  kernels: [
    [staged, step(staged, "scores", "kernel"), "scoring"],
    [
      single,
      ["kernels"],
      (list: readonly object[]) => [...list, { ...list[0], name: "twin", entryPoint: "twin" }],
    ],
  ],
  limits: [
    [staged, ["requires", "invocations"], 32],
    [staged, ["requires", "workgroupBytes"], less(4)],
    [staged, ["requires", "storageBuffers"], 2],
    [staged, ["requires", "features"], ["shader-f16"]],
    [staged, ["storage"], "f16-native"],
    [tensor, ["requires", "computeCapability"], undefined],
  ],
  parameters: [
    [staged, ["parameters", 1, "offset"], more(1)],
    [staged, ["parameterWords"], more(1)],
  ],
  alignment: [[staged, ["alignment", "q"], 3]],
  bindings: [
    [staged, binding(staged, "scores", "q_history", "binding"), 7],
    [staged, binding(staged, "scores", "q_history", "resource"), "k"],
    [staged, binding(staged, "scores", "q_history", "resource"), "keys"],
    [staged, binding(staged, "scores", "launch", "resource"), "q"],
    [staged, at(staged, "scores", "bindings"), []],
    [gradients, program(gradients, "key_gradient", "scale"), null],
  ],
  operands: [
    [staged, binding(staged, "scores", "q", "operand", "variable"), "k"],
    [staged, binding(staged, "scores", "q", "operand", "element"), "f32"],
    [staged, binding(staged, "scores", "q", "operand", "width"), 3],
  ],
  access: [
    [staged, binding(staged, "scores", "q", "access"), "read_write"],
    [staged, binding(staged, "product", "o", "access"), "read"],
    [staged, at(staged, "normalize", "bindings"), without(3)],
  ],
  workspace: [
    [staged, ["workspace"], (list: readonly object[]) => [...list, { name: "map_9", bytes: 4 }]],
    [two, ["steps"], (list: readonly object[]) => [...list].reverse()],
  ],
  launch: [
    [staged, step(staged, "scores", "launch", "row_last"), 1],
    [staged, step(staged, "scores", "launch", "key_end"), 1],
    [
      staged,
      step(staged, "scores", "launch"),
      ({ batch: _batch, ...rest }: Record<string, Expression>) => rest,
    ],
    [staged, at(staged, "scores", "launch"), (fields: string[]) => [...fields].reverse()],
    [
      single,
      at(single, "attention", "launch"),
      (fields: string[]) => fields.filter((field) => !/^v_/.test(field)),
    ],
  ],
  loops: [[staged, step(staged, "batch", "by"), 0]],
  values: [
    [staged, ["workspace", 0, "bytes"], 0],
    [staged, step(staged, "normalize", "launch", "key_end"), 2 ** 31],
    [staged, ["definitions", 0, "value"], ["mul", 0.5, "Lq"]],
    [staged, step(staged, "scores", "multiplyAdds"), ["sub", 0, "Lq"]],
  ],
  grid: [
    [staged, step(staged, "scores", "grid", 1), ["sub", 0, "Lq"]],
    [staged, step(staged, "scores", "grid", 2), 70_000],
    [staged, step(staged, "scores", "grid", 1), 997],
    [tensor, step(tensor, "attention", "grid", 0), (tiles: Expression) => ["add", tiles, 1]],
  ],
  coverage: [
    [staged, step(staged, "batch", "from"), 1],
    [staged, step(staged, "row", "by"), ["mul", 2, "strip"]],
    [single, step(single, "attention", "launch", "row_end"), ["max", 1, ["sub", "Lq", 1]]],
  ],
  rows: [
    [staged, step(staged, "scores", "launch", "row_begin"), "row"],
    [staged, step(staged, "scores", "launch", "row_begin"), ["sub", 0, "Lk"]],
    [staged, step(staged, "scores", "launch", "row_end"), ["add", "Lq", 1]],
    [two, step(two, "statistics", "launch", "row_begin"), 0],
  ],
  keys: [
    [staged, step(staged, "key_end", "from"), ["max", "key_begin", ["sub", "Lk", 1]]],
    [staged, step(staged, "normalize", "launch", "key_end"), "key_begin"],
  ],
  maps: [
    [staged, ["workspace", 0, "bytes"], (bytes: Expression) => ["floorDiv", bytes, 2]],
    [staged, step(staged, "scores", "launch", "strip_row"), "row"],
    [staged, step(staged, "normalize", "launch", "key_begin"), ["sub", 0, 64]],
    [staged, step(staged, "normalize", "launch", "key_end"), ["add", "Lk", 1]],
    [staged, step(staged, "scores", "launch", "map_row_stride"), 64],
  ],
  stages: [
    [staged, program(staged, "scores_conv", "stage", "index"), 1],
    [staged, program(staged, "scores_conv", "stage", "section"), "weights"],
    [staged, program(staged, "weights_mix", "stage", "index"), 0],
    [tensor, program(tensor, "attention", "conv", "stage", "index"), 3],
    [two, program(two, "apply", "chain"), without(3)],
    [two, program(two, "apply", "chain", 2, "stage", "section"), "scores"],
  ],
  finish: [
    [staged, program(staged, "scores_conv", "finish", "pointwise"), []],
    [staged, program(staged, "scores_conv", "finish", "mask"), "hide"],
    [two, program(two, "apply", "chain", 1, "finish", "mask"), "zero"],
    [tensor, program(tensor, "attention", "before", "pointwise"), [{ kind: "softcap", limit: 4 }]],
  ],
  chain: [
    [two, program(two, "apply", "chain", 1, "to"), 2],
    [two, program(two, "apply", "chain"), ([dot, first, second, mix]: object[]) => [dot, second, first, mix]],
    [two, program(two, "apply", "chain"), (steps: object[]) => [...steps, steps.at(-1)]],
    [two, program(two, "apply", "chain", 3, "in"), 1],
    [two, program(two, "apply", "statisticsRegion"), 0],
    [two, program(two, "apply", "final"), 1],
  ],
  regions: [
    [two, program(two, "apply", "regions", 1, "offset"), less(4)],
    [two, program(two, "apply", "statisticsAt"), less(1)],
    [single, program(single, "attention", "partialsAt"), less(1)],
    [two, program(two, "apply", "regions", 1, "rowStride"), less(1)],
    [two, program(two, "apply", "regions", 1, "headStride"), less(1)],
    [two, program(two, "apply", "regions", 1, "rows"), less(1)],
    [two, program(two, "apply", "arenaWords"), 1000],
    [staged, program(staged, "scores_conv", "arenaWords"), less(1)],
  ],
  arena: [
    [two, program(two, "apply", "arenaWords"), more(1)],
    [staged, at(staged, "normalize", "workgroupBytes"), less(4)],
    [staged, program(staged, "scores_conv", "arenaWords"), more(1)],
    [tensor, at(tensor, "attention", "workgroupBytes"), less(1)],
  ],
  halo: [
    [two, program(two, "apply", "regions", 0, "above"), less(1)],
    [two, program(two, "apply", "regions", 0, "rows"), less(4)],
    [staged, program(staged, "scores_conv", "haloRows"), less(1)],
    [staged, program(staged, "scores_conv", "documentRows"), less(1)],
    [tensor, program(tensor, "attention", "haloPast"), 0],
  ],
  carry: [
    [two, program(two, "apply", "regions", 1, "carry"), less(1)],
    [two, program(two, "apply", "reachLeft"), less(1)],
    [staged, program(staged, "weights_conv", "haloLeft"), less(1)],
    [staged, program(staged, "weights_conv", "haloColumns"), less(1)],
    [tensor, program(tensor, "attention", "conv", "granulesLeft"), 0],
    [folded, program(folded, "fold", "sourceSteps"), 1],
    [gradients, program(gradients, "scores_conv_adjoint", "granulesRight"), 0],
    [gradients, program(gradients, "scores_conv_gradient", "granulesLeft"), 0],
  ],
  lag: [
    [two, program(two, "apply", "regions", 0, "lag"), 1],
    [two, program(two, "apply", "regions", 2, "lag"), less(1)],
    [tensor, program(tensor, "attention", "conv", "granulesRight"), 9],
  ],
  heads: [
    [two, program(two, "apply", "headBlock"), 1],
    [two, program(two, "apply", "headBlock"), 4],
    [staged, program(staged, "weights_mix", "outputs"), 3],
    [mixed, program(mixed, "scores_mix", "heads"), 15],
    [mixed, program(mixed, "scores_mix_gradient", "heads"), 32],
  ],
  workgroup: [
    [two, program(two, "statistics", "team"), 3],
    [two, program(two, "statistics", "team"), 8],
    [two, program(two, "apply", "outputBlocks"), 0],
    [staged, program(staged, "scores", "tileK"), 64],
    [staged, program(staged, "normalize", "team"), 7],
    [tensor, program(tensor, "attention", "warps"), 2],
    [gradients, program(gradients, "scores", "warps"), 2],
    [mixed, program(mixed, "scores_pointwise_adjoint_largest", "parts"), 0],
  ],
  epilogue: [
    [staged, program(staged, "product", "epilogue", "mode"), "direct"],
    [staged, program(staged, "product", "epilogue", "factorsAt"), less(1)],
    [two, program(two, "apply", "epilogue", "mode"), "rows"],
    [two, program(two, "apply", "epilogue", "secondAt"), less(1)],
    [two, program(two, "apply", "epilogue", "team"), 2],
  ],
  places: [
    [tensor, program(tensor, "attention", "places", "v"), less(16)],
    [tensor, program(tensor, "attention", "places", "taps"), 0],
    [tensor, program(tensor, "attention", "places", "scores"), -1],
    [tensor, program(tensor, "attention", "sharedBytes"), less(16)],
    [folded, program(folded, "fold", "sharedBytes"), less(16)],
    [folded, program(folded, "attention", "places", "q"), less(16)],
    [gradients, program(gradients, "query_gradient", "sharedBytes"), less(16)],
    [gradients, program(gradients, "key_gradient", "rowBytes"), less(16)],
    [gradients, program(gradients, "query_gradient", "scale", "at"), 9],
    [gradients, program(gradients, "scores_conv_adjoint", "records", "at"), -1],
    [gradients, program(gradients, "scores_conv", "sharedBytes"), less(16)],
    [gradients, program(gradients, "scores_conv_gradient", "rowBytes", "source"), less(32)],
  ],
  strips: [
    [library, program(library, "attention", "strip"), 6],
    [library, program(library, "attention", "block"), 48],
    [library, ["knobs", "strip"], 128],
  ],
  granules: [
    [tensor, program(tensor, "attention", "haloPast"), 9],
    [tensor, program(tensor, "attention", "columns"), 24],
    [tensor, program(tensor, "attention", "tileK"), 40],
    [gradients, program(gradients, "weights_gradient", "tileK"), 48],
    [gradients, program(gradients, "scores", "blockKeys"), 96],
    [mixed, program(mixed, "scores_mix_adjoint", "blockKeys"), 80],
    [gradients, program(gradients, "scores_conv", "tileK"), 24],
    [gradients, program(gradients, "scores_conv_gradient", "blockKeys"), 96],
  ],
};

const PLANS = { staged, two, single, tensor, folded, gradients, mixed };

test.each(Object.entries(PLANS))("the %s plan that the rules are tried on is good", (_name, plan) => {
  expect(verifyPlan(plan)).toBe(plan);
});

describe.each(Object.entries(BREAKS))("%s", (rule, breaks) => {
  test.each(
    breaks.map(
      ([plan, path, value], index) => [`${index + 1}. ${path.join(".")}`, plan, path, value] as const,
    ),
  )("%s", (_name, plan, path, value) => {
    let fault: unknown;
    try {
      verifyPlan(changedAt(plan, path, value), CALLS);
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(PlanFault);
    expect(fault).toBeInstanceOf(RangeError);
    expect(String(fault)).toContain(`"${rule}"`);
    if (fault instanceof PlanFault) expect(fault.rule).toBe(rule);
  });
  test("says what it wants", () => {
    expect(Object.entries(PLAN_RULES).find(([name]) => name === rule)?.[1]).toMatch(/^[a-z]/);
    expect(breaks.length).toBeGreaterThan(0);
  });
});

test("a fault names plan, kernel and rule", () => {
  const path = program(two, "apply", "regions", 1, "carry");
  expect(() => verifyPlan(changedAt(two, path, 0))).toThrow(
    /two_pass plan of "by_hand" for webgpu, kernel "apply", breaks the rule "carry"/,
  );
});
