import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import { cpuMachine, WEBGPU_DEFAULT_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import { sweepsFor, sweepsWithin, tuneCandidates } from "../../compiler/tune/candidates.ts";
import { attentionWith, convStage } from "../support/attentions.ts";

const pipeline = resolve(attentionWith({ scores: [convStage()] }), "a.mta");
const shape = { B: 1, Lq: 256, Lk: 256, R: 0 };
const cpu = { machine: cpuMachine({ lanes: 8, threads: 6 }), shape };
const webgpu = { machine: webgpuMachine(WEBGPU_DEFAULT_LIMITS), shape };

test("on the processor a sweep varies strips, blocks and threads", () => {
  const found = tuneCandidates(pipeline, cpu, { sweeps: [], most: 1000 });
  const valuesOf = (knob: string) => [...new Set(found.map(({ knobs }) => knobs[knob]))];
  expect(new Set(valuesOf("strip")).size).toBeGreaterThan(2);
  expect(new Set(valuesOf("block")).size).toBeGreaterThan(2);
  expect(valuesOf("threads").sort()).toEqual([1, 2, 4, "all"]);
  // What the planner chooses where nothing was measured must suit other processors, too.
  expect(found[0]?.knobs["threads"]).toBe("all");
  const alone = tuneCandidates(pipeline, cpu, { sweeps: [{ knob: "threads", values: [1] }], most: 1000 });
  expect(new Set(alone.map(({ knobs }) => knobs["threads"]))).toEqual(new Set([1]));
});

test("what a spec sweeps on another target restricts nothing here, and what nobody knows is refused", () => {
  const sweeps = [
    { knob: "tile_k", values: [16] },
    { knob: "threads", values: [1] },
  ];
  const knobs = (own: typeof cpu, others: typeof cpu | typeof webgpu, some = sweeps) =>
    sweepsFor(pipeline, some, { own: [own], others: [others] }).map(({ knob }) => knob);
  expect(knobs(cpu, webgpu)).toEqual(["threads"]);
  const unknown = [{ knob: "tile_z", values: [1] }];
  expect(knobs(cpu, webgpu, unknown)).toEqual(["tile_z"]);
  expect(() => tuneCandidates(pipeline, cpu, { sweeps: unknown, most: 4 })).toThrow(
    expect.objectContaining({ code: "MTA406" }),
  );
});

test("backward passes have candidates of their own, the planner's choice first", () => {
  const valuesOf = (request: typeof cpu | typeof webgpu, knob: string) => {
    const found = tuneCandidates(pipeline, { ...request, direction: "backward" }, { sweeps: [], most: 100 });
    expect(new Set(found.map(({ plan }) => plan?.direction))).toEqual(new Set(["backward"]));
    return new Set(found.map(({ knobs }) => knobs[knob]));
  };
  expect([...valuesOf(webgpu, "strip_rows")]).toEqual([128, 64, 256]);
  expect(valuesOf(webgpu, "tile_q").size).toBeGreaterThan(1);
  expect([...valuesOf(cpu, "threads")][0]).toBe("all");
  expect(valuesOf(cpu, "threads")).toEqual(new Set(["all", 4, 2, 1]));
  expect(valuesOf(cpu, "strip").size).toBeGreaterThan(2);
});

test("of what both passes are swept over, each takes what it has", () => {
  const sweeps = [
    { knob: "product_tile_q", values: [16] },
    { knob: "strip_rows", values: [64, 512] },
  ];
  const backward = [{ ...webgpu, direction: "backward" } as const];
  expect(sweepsWithin(pipeline, backward, sweeps)).toEqual([{ knob: "strip_rows", values: [64] }]);
  expect(sweepsWithin(pipeline, [webgpu], sweeps)).toEqual([
    { knob: "product_tile_q", values: [16] },
    { knob: "strip_rows", values: [64] },
  ]);
});

test("sweeps of an attention with dropout are over what is tuned: the kernels that drop nothing", () => {
  const dropout = { kind: "dropout", name: "weights.dropout", rate: 0.5, source: null } as const;
  const sweeps = [{ knob: "workgroup", values: [128] }];
  expect(sweepsWithin({ ...pipeline, weights: [dropout] }, [webgpu], sweeps)).toEqual(sweeps);
});
