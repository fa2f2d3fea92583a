import { beforeAll, describe, expect, it } from "vitest";
import type { Artifact, Plan } from "../../runtime/contract/index.ts";
import { createLauncher, deviceIdentity, download } from "../../runtime/index.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { scaleArtifact } from "./tiny-plans.ts";

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

/** A plan that scales by `factor`: which plan ran shows in the result. */
function planOf(factor: number, changes: Partial<Plan> = {}): Plan {
  const [plan] = scaleArtifact(changes, { overrides: { factor } }).plans;
  if (plan === undefined) throw new Error("the artifact has no plan");
  return plan;
}

function tunedArtifact(identity: string, requires?: Plan["requires"]): Artifact {
  const general = planOf(1);
  const bucket = (length: number) => ({ B: 1, Lq: length, Lk: length, R: 0 });
  return {
    ...scaleArtifact(),
    plans: [
      general,
      planOf(3, { tuned: true, ...(requires === undefined ? {} : { requires }) }),
      planOf(5, { tuned: true }),
    ],
    tuned: [
      { device: identity, bucket: bucket(4), plan: 1 },
      { device: identity, bucket: bucket(32), plan: 2 },
    ],
  };
}

describe("plans that won on this device", () => {
  it("are taken by the shape of each call, and the call says so", async () => {
    const launcher = await createLauncher(device, tunedArtifact(deviceIdentity(device)), WEIGHT);
    for (const [length, factor] of [
      [4, 3],
      [30, 5],
      [3, 3],
    ] as const) {
      const { o, statistics } = await launcher.forward(tinyInputs(device, { B: 1, Lq: length, Lk: length }));
      expect(await download(device, o)).toEqual(scaled(8 * length, factor));
      expect(statistics.tuned).toBe(true);
    }
    expect(launcher.planFor({ B: 1, Lq: 4, Lk: 4, R: 0 }).kernels[0]?.overrides).toEqual({ factor: 3 });
  });

  it("are prepared for `encode` by the size that is asked for", async () => {
    const launcher = await createLauncher(device, tunedArtifact(deviceIdentity(device)), WEIGHT);
    await launcher.prepare({ B: 1, Lq: 32, Lk: 32 });
    const encoder = device.createCommandEncoder();
    const call = launcher.encode(encoder, tinyInputs(device, { B: 1, Lq: 32, Lk: 32 }));
    device.queue.submit([encoder.finish()]);
    await call.checked;
    expect(await download(device, call.o)).toEqual(scaled(256, 5));
    call.release();
  });

  it("are not taken when they do not fit the device, when another one won, or when a plan is asked for", async () => {
    const huge = { ...planOf(1).requires, workgroupBytes: 2 ** 30 };
    const identity = deviceIdentity(device);
    for (const [artifact, options] of [
      [tunedArtifact("another|device|||"), {}],
      [tunedArtifact(identity), { plan: 0 }],
      [tunedArtifact(identity), { schedule: "single_pass" as const }],
    ] as const) {
      const launcher = await createLauncher(device, artifact, WEIGHT, options);
      const { o, statistics } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
      expect(await download(device, o)).toEqual(scaled(32, 1));
      expect(statistics.tuned).toBe(false);
    }
    // Of two, the one that fits.
    const launcher = await createLauncher(device, tunedArtifact(identity, huge), WEIGHT);
    const { o } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    expect(await download(device, o)).toEqual(scaled(32, 5));
  });
});
