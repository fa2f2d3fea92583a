import { expect, test } from "vitest";
import { WEBGPU_COMMON_LIMITS } from "../../compiler/plan/index.ts";
import { DEFAULTS } from "../../examples/playground/src/state/settings.ts";
import { estimateReference } from "../../examples/playground/src/view/run-estimate.ts";
import { compileAttention, emitForDevice } from "../../examples/playground/src/worker/compile.ts";
import {
  analyseSpec,
  completeSpec,
  editorSnippet,
  formatSpec,
  hoverSpec,
} from "../../examples/playground/src/worker/language.ts";
import { mapsOf } from "../../examples/playground/src/worker/maps.ts";
import { CallError } from "../../examples/playground/src/worker/rpc.ts";
import { pipelineOf } from "../support/pipelines.ts";

const SPEC = `attention a {
  heads 4
  head_dim 8
  scores { conv 2x3  mix 2 }
  output { norm depth_scale }
}
`;

const request = { text: SPEC, attention: "a", length: 256, architecture: "sm_80", schedule: null };

test("an analysis names attentions, and whether they need a layer", () => {
  expect(analyseSpec(SPEC)).toMatchObject({
    sound: true,
    diagnostics: [],
    attentions: [{ name: "a", line: 1, heads: 4, needsLayer: true }],
  });
  expect(analyseSpec(SPEC.replace("mix 2", "mix 3"))).toMatchObject({
    sound: false,
    attentions: [],
    diagnostics: [{ code: "MTA304", span: { line: 4 } }],
  });
});

test("what one target cannot do leaves the others their answer", () => {
  const wide = SPEC.replace("head_dim 8", "head_dim 8  normalize sparsemax");
  const reply = compileAttention({ ...request, text: wide, schedule: "single_pass" }, "1.0.0");
  expect(reply.wgsl).toMatchObject({ ok: false, problem: { code: "MTA405" } });
  expect(reply.webgpu.plan).toBeNull();
  expect(reply.webgpu.candidates[0]?.reason).toContain("sparsemax");
});

test("a spec with errors, and an attention that is not there, are refused", () => {
  expect(() => compileAttention({ ...request, text: "attention" }, "1")).toThrow(CallError);
  expect(() => compileAttention({ ...request, attention: "<img>" }, "1")).toThrow(CallError);
});

test("an artifact for the page's device: a plan for that GPU, or for that processor, which knows no schedules", async () => {
  const pipeline = pipelineOf(SPEC, "a", "spec.mta");
  const asked = {
    pipeline,
    shape: { B: 1, Lq: 64, Lk: 64, R: 0 },
    schedule: "two_pass",
    gradients: false,
  } as const;
  const limits = WEBGPU_COMMON_LIMITS;
  const gpu = await emitForDevice({ ...asked, device: { kind: "webgpu", name: "a GPU", limits } });
  expect(gpu.plans).toMatchObject([{ target: "webgpu", schedule: "two_pass" }]);
  expect(Object.keys(gpu.sources).length).toBeGreaterThan(0);
  const processor = { lanes: 4, threads: 2 };
  const cpu = await emitForDevice({ ...asked, device: { kind: "wasm", name: "", reason: null, processor } });
  expect(cpu.plans).toMatchObject([{ target: "cpu", schedule: "staged" }]);
  expect(cpu.sources).toEqual({});
  const trained = await emitForDevice({
    ...asked,
    gradients: true,
    device: { kind: "webgpu", name: "a GPU", limits },
  });
  expect(trained.backward).toMatchObject([{ direction: "backward" }]);
  expect(Object.keys(trained.sources).join()).toContain("key_gradient");
});

test("completions are in the editor's notation", () => {
  const text = "attention a {\n  he";
  const item = completeSpec(text, text.length).find(({ label }) => label === "heads");
  expect(item).toMatchObject({ from: 16, to: 18, snippet: true });
  expect(item?.insert).not.toMatch(/\$\d/);
});

test("snippets: places, choices, and the last place last", () => {
  expect(editorSnippet(`a \${1:16} $2 \${3|x,y,z|}$0`)).toBe(`a \${1:16} \${2} \${3:x}\${99}`);
});

test("hover and format answer as the language server does", () => {
  const hover = hoverSpec(SPEC, SPEC.indexOf("conv"));
  expect(hover?.markdown).toContain("scores.conv.weight");
  expect(formatSpec(SPEC)).toContain("heads     4");
  expect(formatSpec("attention {")).toBeNull();
});

test("maps: one head of one batch entry, before and after each stage", () => {
  const pipeline = pipelineOf(SPEC, "a", "spec.mta");
  const asked = {
    pipeline,
    length: 6,
    seed: 1,
    parameters: "random",
    batch: 1,
    head: 3,
    gradients: false,
  } as const;
  const { maps, visible } = mapsOf(asked);
  expect(maps.map(({ name }) => name)).toEqual(["scores", "scores.conv", "scores.mix", "softmax"]);
  expect([...visible.subarray(0, 12)]).toEqual([1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
  const softmax = maps[3]?.values ?? new Float64Array();
  for (let row = 0; row < 6; row += 1) {
    const sum = softmax.subarray(row * 6, row * 6 + 6).reduce((all, value) => all + value, 0);
    expect(sum).toBeCloseTo(1, 12);
  }
  const other = mapsOf({ ...asked, head: 0 });
  expect(other.maps[0]?.values).not.toEqual(maps[0]?.values);
  // An identity convolution leaves the scores as they are.
  const initial = mapsOf({ ...asked, parameters: "init" });
  expect(initial.maps[1]?.values).toEqual(initial.maps[0]?.values);
});

test("gradients: of each map, of its rows of q, and of the keys and values that it shares", () => {
  const pipeline = pipelineOf(SPEC.replace("heads 4", "heads 4  kv_heads 2"), "a", "spec.mta");
  const asked = { pipeline, length: 6, seed: 1, parameters: "random", batch: 1, gradients: true } as const;
  const { maps, gradients } = mapsOf({ ...asked, head: 3 });
  expect(gradients?.maps.map(({ name }) => name)).toEqual(maps.map(({ name }) => name));
  // What is added to all logits of a row changes nothing.
  const logits = gradients?.maps[2]?.values ?? new Float64Array();
  for (let row = 0; row < 6; row += 1) {
    const own = logits.subarray(row * 6, row * 6 + 6);
    expect(own.reduce((all, value) => all + value, 0)).toBeCloseTo(0, 12);
    expect(own.subarray(row + 1).every((value) => value === 0)).toBe(true);
  }
  expect(gradients?.rows.map(({ name, values }) => [name, values.length])).toEqual([
    ["d_q", 48],
    ["d_k", 48],
    ["d_v", 48],
  ]);
  const neighbour = mapsOf({ ...asked, head: 2 }).gradients;
  expect(neighbour?.rows[0]?.values).not.toEqual(gradients?.rows[0]?.values);
  expect(neighbour?.rows[1]?.values).toEqual(gradients?.rows[1]?.values);
  expect(mapsOf({ ...asked, head: 3, gradients: false }).maps).toEqual(maps);
});

test("the reference is refused where it would take minutes or gigabytes", () => {
  const pipeline = pipelineOf(SPEC, "a", "spec.mta");
  const verdictOf = (rows: number, batch = 1) =>
    estimateReference(pipeline, { ...DEFAULTS.run, rows, keys: rows, batch }).verdict;
  expect([verdictOf(128), verdictOf(4096, 64), verdictOf(8192)]).toEqual(["fine", "long", "too much"]);
});
