import { afterAll, beforeAll, test } from "vitest";
import { FAR_POSITIONS, FAR_SPECS, farCase } from "../support/far-positions.ts";
import { checkSchedules } from "../support/known-case.ts";
import { openTestDevice } from "../support/node-device.ts";

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

const CASES = FAR_SPECS.flatMap((mask) => FAR_POSITIONS.map((position) => [mask, position] as const));

test.each(CASES)("%s: a row at position %d", async (mask, position) => {
  await checkSchedules(device, farCase(mask, position));
});
