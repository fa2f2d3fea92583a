import { describe, expect, test } from "vitest";
import {
  cudaArchitecture,
  figuresOf,
  GPUS,
  gpuMachine,
  ratesOf,
  WEBGPU_VARIANTS,
} from "../../compiler/plan/index.ts";

describe.each(GPUS.map((gpu) => [gpu.name, gpu] as const))("%s", (_name, gpu) => {
  const figures = Object.entries(figuresOf(gpu));

  test("every figure is positive and names its source", () => {
    expect(figures.length).toBeGreaterThanOrEqual(7);
    for (const [name, figure] of figures) {
      expect(figure.value, name).toBeGreaterThan(0);
      expect(figure.value, name).toBeLessThan(1e16);
      expect(figure.source.length, name).toBeGreaterThan(10);
    }
    expect(figures.some(([, { basis }]) => basis === "published")).toBe(true);
  });

  test("multiprocessors × clock × rate is the stated peak, within 5 %", () => {
    const { multiprocessors, clock, matrixClock, perCycle, f32Operations, matrixOperations } = gpu;
    const operations = (hertz: number, rate: number): number => 2 * multiprocessors.value * hertz * rate;
    const f32 = operations(clock.value, perCycle.f32MultiplyAdds.value);
    expect(Math.abs(f32 / (f32Operations?.value ?? f32) - 1)).toBeLessThan(0.05);
    const matrix = operations((matrixClock ?? clock).value, perCycle.matrixMultiplyAdds?.value ?? 0);
    expect(Math.abs((matrix + 1) / ((matrixOperations?.value ?? matrix) + 1) - 1)).toBeLessThan(0.05);
    // Whoever names a peak of matrix units names their rate as well.
    expect(matrix > 0).toBe(matrixOperations !== undefined);
  });

  test("serves its targets, with limits that planners know", () => {
    expect(gpu.targets.length).toBeGreaterThan(0);
    for (const each of gpu.targets) {
      const machine = gpuMachine(gpu, each.target);
      if (each.target === "webgpu") {
        // A launcher has plans for exactly these variants.
        expect(WEBGPU_VARIANTS).toContainEqual(machine?.limits);
        expect(ratesOf(gpu, "webgpu")).toMatchObject({ matrix: 0, matrixPeak: 0 });
      } else {
        expect(machine?.architecture).toBe(cudaArchitecture(each.architecture));
        expect(machine?.architecture?.name).toBe(each.architecture);
      }
    }
  });

  test("rates agree with what the planner assumes of the architecture", () => {
    const architecture = gpuMachine(gpu, "cuda")?.architecture;
    if (architecture === undefined || architecture === null) {
      expect(gpuMachine(gpu, "webgpu")).not.toBeNull();
      return;
    }
    const { perCycle, matrixShare } = gpu;
    expect(perCycle.f32MultiplyAdds.value).toBe(architecture.f32Lanes);
    expect(perCycle.specialFunctions.value).toBe(architecture.specialFunctions);
    const matrix = (perCycle.matrixMultiplyAdds?.value ?? 0) * (matrixShare?.value ?? 1);
    expect(Math.abs(matrix / (2048 * architecture.mma) - 1)).toBeLessThan(0.05);
  });
});

test("names are as one types them, each once", () => {
  const names = GPUS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test("the rates of one GPU, by hand", () => {
  const h100 = GPUS.find(({ name }) => name === "h100");
  if (h100 === undefined) throw new Error("the table lacks h100");
  expect(ratesOf(h100, "cuda")).toEqual({
    matrixPeak: 989.4e12 / 2,
    matrix: (989.4e12 / 2) * 0.629,
    f32: expect.closeTo(33.45e12, -3),
    specialFunctions: 132 * 1.98e9 * 16,
    instructions: 132 * 1.98e9 * 4,
    sharedBytes: 132 * 1.98e9 * 128,
    cacheBandwidth: null,
    memoryBandwidth: 3.35e12,
    cacheBytes: 50 * 2 ** 20,
  });
  const { matrixOperations, f32Operations, ...rest } = h100;
  const derived = ratesOf(rest, "cuda");
  expect(derived.matrixPeak).toBe(132 * 1.83e9 * 2048);
  expect(derived.f32).toBe(132 * 1.98e9 * 128);
});
