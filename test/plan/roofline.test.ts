import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import {
  boundCandidates,
  type Candidate,
  floorBound,
  floorWork,
  GPUS,
  gpuMachine,
  type KernelWork,
  kernelBound,
  type Machine,
  planCandidates,
  type Rates,
  ratesOf,
  roofline,
} from "../../compiler/plan/index.ts";
import { type CountedKernel, NO_COUNTS } from "../../compiler/plan/work.ts";
import type { CallShape, Pipeline, Schedule, Target } from "../../runtime/contract/index.ts";
import { attentionWith, convStage, mixStage, softcapStage } from "../support/attentions.ts";

const NOTHING: CountedKernel = { kernel: "k", ...NO_COUNTS };

const RATES: Rates = {
  matrixPeak: 2000,
  matrix: 1000,
  f32: 100,
  specialFunctions: 10,
  instructions: 50,
  sharedBytes: 400,
  cacheBandwidth: 200,
  memoryBandwidth: 20,
  cacheBytes: 300,
};

const square = (length: number, B = 1): CallShape => ({ B, Lq: length, Lk: length, R: 0 });

describe("a kernel", () => {
  test.each([
    ["tensor cores", { matrixMultiplyAdds: 3000 }, 3],
    ["f32 units", { f32MultiplyAdds: 300 }, 3],
    ["special functions", { specialFunctions: 30 }, 3],
    ["instruction issue", { instructions: 150 }, 3],
    ["shared memory", { sharedBytes: 1200 }, 3],
    ["second-level cache", { cacheBytes: 600 }, 3],
  ] as const)("waits for %s", (bound, own, seconds) => {
    const rest = { matrixMultiplyAdds: 2000, f32MultiplyAdds: 200, specialFunctions: 20, instructions: 100 };
    const work = { ...NOTHING, ...rest, sharedBytes: 800, cacheBytes: 400, ...own };
    expect(kernelBound(work, 0, RATES)).toEqual({ kernel: "k", seconds, bound });
  });

  test("waits for device memory where maps do not stay in the cache", () => {
    expect(kernelBound({ ...NOTHING, f32MultiplyAdds: 100 }, 60, RATES)).toMatchObject({
      seconds: 3,
      bound: "device memory",
    });
  });

  test("is not bound by a rate that nobody states", () => {
    const work = { ...NOTHING, f32MultiplyAdds: 100, cacheBytes: 1e6, instructions: 1e6 };
    expect(kernelBound(work, 0, { ...RATES, cacheBandwidth: null, instructions: null })).toMatchObject({
      seconds: 1,
      bound: "f32 units",
    });
  });
});

describe("kernels one after the other", () => {
  const f32 = { ...NOTHING, f32MultiplyAdds: 200 };
  const special = { ...NOTHING, specialFunctions: 15 };

  test("take the sum of their times; the bound is where most of it goes", () => {
    const demand = { compulsoryBytes: 20, workspaceBytes: 0 };
    expect(roofline([f32, special, special], demand, RATES)).toMatchObject({
      seconds: 5,
      bound: "special functions",
      memoryBytes: 20,
    });
  });

  test("take no less than device memory needs for the tensors", () => {
    const demand = { compulsoryBytes: 200, workspaceBytes: 0 };
    expect(roofline([f32, special], demand, RATES)).toMatchObject({ seconds: 10, bound: "device memory" });
  });

  test("move the share of their maps that the cache cannot hold", () => {
    const maps = { ...f32, mapBytes: 80 };
    const fits = roofline([maps], { compulsoryBytes: 0, workspaceBytes: 300 }, RATES);
    expect(fits).toMatchObject({ seconds: 2, memoryBytes: 0 });
    // A quarter of 400 bytes does not fit 300: 20 of the 80 bytes.
    expect(roofline([maps], { compulsoryBytes: 0, workspaceBytes: 400 }, RATES).memoryBytes).toBe(20);
    // And the kernel that moves them waits for them, after the one before it: 2 s, and 60 bytes.
    const second = roofline(
      [f32, { ...NOTHING, mapBytes: 120 }],
      { compulsoryBytes: 0, workspaceBytes: 600 },
      RATES,
    );
    expect(second).toMatchObject({
      seconds: 5,
      bound: "device memory",
      kernels: [{ bound: "f32 units" }, { bound: "device memory", seconds: 3 }],
    });
    const half = roofline([maps], { compulsoryBytes: 10, workspaceBytes: 600 }, RATES);
    expect(half).toMatchObject({ seconds: 2.5, bound: "device memory", memoryBytes: 50 });
  });
});

describe("the floor", () => {
  const paper = [convStage({ query: 6, key: 11 }), mixStage(16)];
  const attention = { heads: 16, headDim: 96, valueDim: 96, scores: paper, weights: paper };

  test("is the spec's own work on the fastest units: the paper's 830M on an A100", () => {
    const pipeline = resolve(attentionWith({ ...attention, dtype: "f16" }), "a.mta");
    const work = floorWork(pipeline, square(1024));
    const pairs = 16 * ((1024 * 1025) / 2);
    expect(work).toMatchObject({
      multiplyAdds: pairs * (192 + 132 + 32),
      specialFunctions: pairs,
      matrix: true,
    });
    const bound = floorBound(work, ratesOf(gpuNamed("a100"), "cuda"));
    expect(bound.bound).toBe("tensor cores");
    expect(bound.seconds).toBeCloseTo((pairs * 356) / 156e12, 12);
  });

  test("takes the peak of the units, whatever share of it mtac's instruction reaches", () => {
    const work = { multiplyAdds: 6000, specialFunctions: 0, memoryBytes: 20, matrix: true };
    expect(floorBound(work, RATES)).toEqual({ seconds: 3, bound: "tensor cores" });
    expect(floorBound({ ...work, matrix: false }, RATES)).toEqual({ seconds: 60, bound: "f32 units" });
    expect(floorBound({ ...work, specialFunctions: 40 }, RATES).bound).toBe("special functions");
    expect(floorBound({ ...work, memoryBytes: 100 }, RATES)).toEqual({ seconds: 5, bound: "device memory" });
  });

  test("f32 and sparsemax leave matrix units out, and sparsemax exponentials", () => {
    expect(floorWork(resolve(attentionWith(attention), "a.mta"), square(64)).matrix).toBe(false);
    const sparse = resolve(attentionWith({ dtype: "f16", normalize: "sparsemax" }), "a.mta");
    expect(floorWork(sparse, square(64))).toMatchObject({ matrix: false, specialFunctions: 0 });
  });

  test("counts what a convolution of the keys beforehand saves", () => {
    const folds = (query: number, key: number): number => {
      const scores = [convStage({ query, key })];
      const pipeline = resolve(attentionWith({ heads: 1, headDim: 8, scores, mask: [] }), "a.mta");
      return floorWork(pipeline, square(16)).multiplyAdds / 256;
    };
    // D + Dv = 16 a pair, and the cheaper of all taps and one more product of 8 for each further kernel row.
    expect(folds(1, 7)).toBe(16);
    expect(folds(2, 7)).toBe(16 + 8);
    expect(folds(2, 3)).toBe(16 + 6);
  });
});

describe("counts of work, by hand", () => {
  const bare = (changes: Parameters<typeof attentionWith>[0]): Pipeline =>
    resolve(attentionWith({ mask: [], ...changes }), "a.mta");

  test("a fused WebGPU kernel without stages", () => {
    const [work] = workOf(bare({}), "webgpu", "single_pass", square(128), { tile_q: 64, tile_k: 32 });
    const pairs = 2 * 128 * 128;
    expect(work).toMatchObject({
      kernel: "attention",
      matrixMultiplyAdds: 0,
      f32MultiplyAdds: pairs * 8,
      specialFunctions: pairs,
      // Four bytes put, twelve of the softmax, and four weights that a value block's lanes share for four rows.
      sharedBytes: pairs * (4 + 12 + 4),
      // Each of two row tiles reads keys and values of all 128 keys, in f32.
      cacheBytes: 2 * 2 * 128 * 8 * 4,
      mapBytes: 0,
      launches: 1,
      blocks: 4,
    });
  });

  test("a convolution in workgroup memory reads its sliding window for every block", () => {
    const scores = [convStage({ query: 3, key: 5 })];
    const knobs = { tile_q: 64, tile_k: 64 };
    const [plain] = workOf(bare({ heads: 1 }), "webgpu", "staged", square(64), knobs);
    expect(plain?.sharedBytes).toBe(0);
    const kernels = workOf(bare({ heads: 1, scores }), "webgpu", "staged", square(64), knobs);
    expect(kernels.map(({ kernel }) => kernel)).toHaveLength(4);
    const conv = kernels[1];
    expect(conv?.f32MultiplyAdds).toBe(64 * 64 * 15);
    // 3 × 8 entries of four rows for sixteen results, and the tile with two rows and four columns around it written once.
    expect(conv?.sharedBytes).toBeCloseTo((64 * 64 * (3 * 8 * 16)) / 16 + 4 * 66 * 68, 6);
    // One map is read, with two rows and four columns around each tile, and one written.
    expect(conv?.mapBytes).toBe((64 * 64 + 66 * 68) * 4);
  });

  test("tensor cores multiply every pair with keys and values", () => {
    const pipeline = bare({ headDim: 64, valueDim: 64, dtype: "f16" });
    const [attention] = workOf(pipeline, "cuda", "single_pass", square(512), {
      lowering: "tensor",
      tile_q: 64,
    });
    expect(attention).toMatchObject({
      kernel: "attention",
      matrixMultiplyAdds: 2 * 512 * 512 * 128,
      specialFunctions: 2 * 512 * 512,
      // Eight tiles of rows read all keys and values.
      cacheBytes: 2 * 8 * 512 * 128 * 2,
      mapBytes: 0,
    });
  });

  test("pass 1 reads keys only, pass 2 values as well", () => {
    const pipeline = bare({ weights: [convStage({ query: 1, key: 3 })] });
    const kernels = workOf(pipeline, "webgpu", "two_pass", square(64), {});
    const bytes = kernels.map(({ kernel, cacheBytes }) => [kernel, cacheBytes / (2 * 64 * 4 * 4)]);
    expect(bytes[0]?.[0]).toBe("statistics");
    // Keys a row tile reads: whole tiles, and the steps by which results trail the scores.
    expect(bytes[0]?.[1]).toBe(64 / Number(tileOf(pipeline, "statistics_tile_q")));
    expect(Number(bytes[1]?.[1])).toBeGreaterThanOrEqual((2 * 64) / Number(tileOf(pipeline, "tile_q")));
  });

  test("staged tensor-core kernels hand f16 maps on", () => {
    const scores = [convStage({ query: 3, key: 5 }), convStage({ query: 3, key: 5 })];
    const pipeline = bare({ headDim: 64, valueDim: 64, dtype: "f16", scores });
    const knobs = { lowering: "toeplitz", tile_k: 64 };
    const kernels = workOf(pipeline, "cuda", "staged", square(512), knobs);
    const map = 2 * 512 * 512 * 2;
    const maps = kernels.map(({ kernel, mapBytes }) => [kernel, Math.round((mapBytes / map) * 10) / 10]);
    // Written; read and written, with an eighth of a step for the taps to the right; read for the statistics, and for the product.
    expect(maps).toEqual([
      ["scores_conv", 1],
      ["scores_conv_2", 2],
      ["statistics", 1],
      ["product", 1],
    ]);
    for (const { cacheBytes, mapBytes } of kernels) expect(cacheBytes).toBeGreaterThanOrEqual(mapBytes);
  });

  test.each([16, 32, 64])("a mix of %i heads multiplies as many, exactly", (group) => {
    const pipeline = bare({ heads: 64, headDim: 8, dtype: "f16", scores: [mixStage(group)] });
    const mix = workOf(pipeline, "cuda", "staged", square(64), { lowering: "tensor" })[1];
    expect(mix?.kernel).toBe("scores_mix");
    // Twice, for the maximum first; with weights of two parts, each time.
    expect(mix?.matrixMultiplyAdds).toBe(64 * 64 * 64 * group * 4);
  });

  test("direct CUDA kernels count lanes, instructions and transfers; dropped candidates nothing", () => {
    const pipeline = bare({ headDim: 64, valueDim: 64 });
    const [work] = workOf(pipeline, "cuda", "single_pass", square(256), { lowering: "direct" });
    expect(work?.f32MultiplyAdds).toBeGreaterThanOrEqual(2 * 256 * 256 * 128);
    expect(work?.instructions).toBeGreaterThan((work?.f32MultiplyAdds ?? 0) / 32 / 2);
    expect(work?.sharedBytes).toBeGreaterThan(0);
    expect(work?.matrixMultiplyAdds).toBe(0);
    const sparse = bare({ normalize: "sparsemax" });
    const request = { machine: machineOf("m1", "webgpu"), shape: square(16) };
    for (const { reason, work: none } of planCandidates(sparse, request))
      if (reason !== null) expect(none).toEqual([]);
  });
});

const PIPELINES: readonly (readonly [string, Pipeline])[] = [
  ...["examples", "test/golden/specs"].flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith(".mta"))
      .flatMap((file) => {
        const { spec } = analyse(readFileSync(`${folder}/${file}`, "utf8"), file);
        return (spec?.attentions ?? []).map(
          (each) => [`${file}: ${each.name}`, resolve(each, file)] as const,
        );
      }),
  ),
  [
    "by hand: softcap and a wide mix",
    resolve(
      attentionWith({ heads: 32, headDim: 16, dtype: "bf16", scores: [softcapStage(5), mixStage(32)] }),
      "a.mta",
    ),
  ],
  [
    "by hand: one kernel row, which folds",
    resolve(
      attentionWith({ headDim: 64, dtype: "f16", scores: [convStage({ query: 1, key: 31 })] }),
      "a.mta",
    ),
  ],
];

const PLACES = GPUS.flatMap((gpu) => gpu.targets.map(({ target }) => ({ gpu, target })));

describe.each(PIPELINES)("%s", (_name, pipeline) => {
  const known = new Map<string, readonly Candidate[]>();
  /** Candidates, remembered: the same machine has the same. */
  const planned = (machine: Machine, shape: CallShape): readonly Candidate[] => {
    const key = JSON.stringify([machine, shape]);
    const candidates = known.get(key) ?? planCandidates(pipeline, { machine, shape });
    known.set(key, candidates);
    return candidates;
  };

  test.each(PLACES.map((place) => [place.gpu.name, place.target, place.gpu] as const))(
    "on %s with %s: no candidate is under the floor, longer calls take longer, twice the rates half the time",
    (_gpu, target, gpu) => {
      const rates = ratesOf(gpu, target);
      const machine = machineOf(gpu.name, target);
      const boundAt = (shape: CallShape, own: Rates): Map<string, number> =>
        new Map(
          boundCandidates(planned(machine, shape), shape, own).map((each) => [
            nameOf(each.candidate),
            each.roofline.seconds,
          ]),
        );
      const twice = Object.fromEntries(
        Object.entries(rates).map(([name, rate]) => [
          name,
          name === "cacheBytes" || rate === null ? rate : 2 * rate,
        ]),
      );
      let before = new Map<string, number>();
      for (const length of [64, 300, 1024]) {
        const shape = square(length, 2);
        const seconds = boundAt(shape, rates);
        const floor = floorBound(floorWork(pipeline, shape), rates).seconds;
        expect(seconds.size).toBeGreaterThan(0);
        const faster = boundAt(shape, { ...rates, ...twice });
        // One comparison for all: there are hundreds of candidates, here and everywhere.
        const wrong = [...seconds].filter(([name, each]) => {
          const ratio = (faster.get(name) ?? 0) / each;
          const shorter = before.get(name) ?? 0;
          return !(each >= floor * (1 - 1e-9) && each > shorter && Math.abs(ratio - 0.5) < 5e-10);
        });
        expect(wrong, `at ${length}, with a floor of ${floor}`).toEqual([]);
        expect(faster.size).toBe(seconds.size);
        before = seconds;
      }
    },
  );
});

function nameOf({ schedule, knobs }: { schedule: Schedule; knobs: object }): string {
  return `${schedule} ${JSON.stringify(knobs)}`;
}

function gpuNamed(name: string): (typeof GPUS)[number] {
  const gpu = GPUS.find((each) => each.name === name);
  if (gpu === undefined) throw new Error(`the table lacks ${name}`);
  return gpu;
}

function machineOf(gpu: string, target: Target): Machine {
  const machine = gpuMachine(gpuNamed(gpu), target);
  if (machine === null) throw new Error(`${gpu} does not serve ${target}`);
  return machine;
}

/** A knob of the cheapest `two_pass` candidate on WebGPU for 64 rows. */
function tileOf(pipeline: Pipeline, knob: string): number | string | undefined {
  const request = { machine: machineOf("m1", "webgpu"), shape: square(64), schedule: "two_pass" } as const;
  return planCandidates(pipeline, request)[0]?.knobs[knob];
}

/** The work of the first candidate with these knobs. */
function workOf(
  pipeline: Pipeline,
  target: Target,
  schedule: Schedule,
  shape: CallShape,
  knobs: Readonly<Record<string, number | string>>,
): readonly KernelWork[] {
  const machine = machineOf(target === "cuda" ? "a100" : "m1", target);
  const found = planCandidates(pipeline, { machine, shape, schedule }).find(
    (each) =>
      each.reason === null && Object.entries(knobs).every(([name, value]) => each.knobs[name] === value),
  );
  if (found === undefined) throw new Error(`no candidate of ${schedule} has ${JSON.stringify(knobs)}`);
  return found.work;
}
