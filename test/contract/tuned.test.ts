import { describe, expect, test } from "vitest";
import { nearestBucket, sameDevice } from "../../runtime/contract/tuned.ts";
import { planForShape, shapeOfInputs, tunedChoices } from "../../runtime/launcher/plan-choice.ts";
import { scaleArtifact } from "../webgpu-runtime/tiny-plans.ts";

describe("devices that results hold for", () => {
  const dawn = "nvidia|ampere|a100|driver 5|shader-f16";
  test.each([
    [dawn, true],
    // A browser leaves out device and driver.
    ["nvidia|ampere|||shader-f16", true],
    ["nvidia|ampere|a100|driver 6|shader-f16", false],
    ["nvidia|hopper|||shader-f16", false],
    // No name, no match; features are never left out.
    ["|ampere|||shader-f16", false],
    ["nvidia||||shader-f16", false],
    ["nvidia|ampere|||", false],
    ["nvidia|ampere", false],
    ["", false],
  ])("%j", (identity, same) => {
    expect(sameDevice(dawn, identity)).toBe(same);
  });
});

describe("the nearest bucket", () => {
  const bucket = (B: number, Lq: number, Lk: number, R = 0) => ({ bucket: { B, Lq, Lk, R } });
  test.each([
    [{ B: 1, Lq: 500, Lk: 500, R: 0 }, bucket(1, 512, 512)],
    [{ B: 1, Lq: 1, Lk: 4000, R: 5 }, bucket(1, 1, 4096, 4)],
    [{ B: 9, Lq: 128, Lk: 128, R: 0 }, bucket(8, 128, 128)],
    // Half way: the larger one.
    [{ B: 1, Lq: 256, Lk: 256, R: 0 }, bucket(1, 512, 512)],
  ])("of %j", (shape, expected) => {
    const entries = [bucket(1, 128, 128), bucket(8, 128, 128), bucket(1, 512, 512), bucket(1, 1, 4096, 4)];
    expect(nearestBucket(entries, shape)).toEqual(expected);
  });

  test("of none is none", () => {
    expect(nearestBucket([], { B: 1, Lq: 1, Lk: 1, R: 0 })).toBeNull();
  });
});

describe("tuned plans of an artifact", () => {
  const plain = scaleArtifact();
  const [plan] = plain.plans;
  if (plan === undefined) throw new Error("the artifact has no plan");
  const won = { ...plan, tuned: true as const };
  const bucket = { B: 1, Lq: 64, Lk: 64, R: 0 };
  const artifact = {
    ...plain,
    plans: [plan, won],
    tuned: [
      { device: "a|b|c|d|", bucket, plan: 1 },
      { device: "other|b|c|d|", bucket, plan: 1 },
      { device: "a|b|c|d|", bucket: { ...bucket, B: 4 }, plan: 7 },
    ],
  };
  const shape = { B: 1, Lq: 60, Lk: 60, R: 0 };

  test("are taken on their device", () => {
    const choices = tunedChoices(artifact, "a|b|c|d|", {}, () => true);
    expect(choices).toEqual([{ bucket, plan: won }]);
    expect(planForShape(choices, plan, shape)).toBe(won);
  });

  test("are not taken where they do not fit, elsewhere, or when the caller has chosen", () => {
    expect(tunedChoices(artifact, "a|b|c|d|", {}, () => false)).toEqual([]);
    expect(tunedChoices(artifact, "x|b|c|d|", {}, () => true)).toEqual([]);
    expect(tunedChoices(artifact, "a|b|c|d|", { plan: 0 }, () => true)).toEqual([]);
    expect(tunedChoices(artifact, "a|b|c|d|", { schedule: "staged" }, () => true)).toEqual([]);
    expect(planForShape([], plan, shape)).toBe(plan);
  });

  test("the shape of a call is that of its tensors", () => {
    const tensor = (...sizes: number[]) => ({ shape: sizes });
    const inputs = { q: tensor(2, 4, 3, 8), k: tensor(2, 1, 9, 8), v: tensor(2, 1, 9, 8) };
    expect(shapeOfInputs(inputs)).toEqual({ B: 2, Lq: 3, Lk: 9, R: 0 });
    expect(shapeOfInputs({ ...inputs, qHistory: tensor(2, 4, 5, 8) }).R).toBe(5);
  });
});
