import { afterAll, beforeAll, test } from "vitest";
import { checkSchedules } from "../support/known-case.ts";
import { openTestDevice } from "../support/node-device.ts";
import { COMMON_OFFSETS, LOWEST_F32, OFFSET_SPECS, offsetCase } from "../support/offsets.ts";

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

const SPECS = OFFSET_SPECS.flatMap((spec) =>
  (["f32", "f16"] as const).map((storage) => [spec, storage] as const),
);
const CASES = SPECS.flatMap((each) => COMMON_OFFSETS.map((offset) => [...each, offset] as const));

test.each(CASES)("%s, %s: logits that have %f in common", async (spec, storage, offset) => {
  await checkSchedules(device, offsetCase(spec, storage, offset));
});

test.each(SPECS)(
  "%s, %s: the lowest f32 at some keys takes their weight, and hides none",
  async (spec, storage) => {
    await checkSchedules(device, offsetCase(spec, storage, LOWEST_F32, "third"));
  },
);
