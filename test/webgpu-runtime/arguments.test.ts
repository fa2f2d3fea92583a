import { beforeAll, describe, expect, it } from "vitest";
import {
  allocate,
  createLauncher,
  download,
  initParameters,
  type Launcher,
  randomParameters,
  requestDevice,
  upload,
} from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import {
  attempt,
  BAD_ARTIFACTS,
  BAD_DOWNLOADS,
  BAD_INPUTS,
  BAD_PARAMETERS,
  BAD_SIZES,
  BAD_UPLOADS,
} from "../support/bad-arguments.ts";
import { openDevice, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { ramp, scaleArtifact } from "./tiny-plans.ts";

let device: GPUDevice;
let launcher: Launcher;
beforeAll(async () => {
  device = await openDevice();
  launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
});

const refused = (attempted: Promise<unknown>, code: string): Promise<void> =>
  expect(attempted).rejects.toMatchObject({ code, remedy: expect.stringMatching(/./) });

describe("what is given instead", () => {
  it.each(BAD_UPLOADS)("of a tensor to upload is refused: %s", (_what, code, args) =>
    refused(attempt(upload, device, ...args), code),
  );

  it.each(BAD_SIZES)("of a size to prepare is refused: %s", (_what, code, size) =>
    refused(
      attempt((given: never) => launcher.prepare(given), size),
      code,
    ),
  );

  it.each(BAD_INPUTS)("of inputs is refused: %s", (_what, code, change) => {
    const inputs = change(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    return refused(
      attempt((given: never) => launcher.forward(given), inputs),
      code,
    );
  });

  it.each(BAD_PARAMETERS)("of parameters is refused: %s", async (_what, values) => {
    await refused(attempt(createLauncher, device, scaleArtifact(), values), "MTA618");
    await refused(
      attempt((given: never) => launcher.setParameters(given), values),
      "MTA618",
    );
  });

  it.each(BAD_DOWNLOADS)("of a tensor to download is refused: %s", (_what, code, change) => {
    const tensor = { ...upload(device, { shape: [6], data: ramp(6) }, "f32") };
    return refused(attempt(download, device, change(tensor)), code);
  });

  it("of a tensor's place in its buffer is refused by download", async () => {
    const tensor = { ...upload(device, { shape: [6], data: ramp(6) }, "f32") };
    for (const [change, code] of [
      [{ offset: undefined }, "MTA723"],
      [{ offset: -4 }, "MTA723"],
      [{ offset: 2 }, "MTA723"],
      [{ offset: 8 }, "MTA724"],
      [{ shape: [7] }, "MTA724"],
    ] as const)
      await refused(attempt(download, device, { ...tensor, ...change }), code);
  });

  it.each(BAD_ARTIFACTS)("of an artifact is refused: %s", (_what, artifact) =>
    refused(attempt(createLauncher, device, artifact, WEIGHT), "MTA711"),
  );

  it("of an encoder is refused", async () => {
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    for (const encoder of [undefined, null, {}, device, device.queue])
      await refused(
        attempt((given: never) => launcher.encode(given, inputs), encoder),
        "MTA742",
      );
  });

  it("of a pipeline is refused", async () => {
    for (const given of [undefined, null, [], scaleArtifact(), "attention a { heads 2 head_dim 4 }"])
      for (const make of [initParameters, randomParameters]) await refused(attempt(make, given), "MTA618");
  });

  it("of outputs is refused", async () => {
    const inputs = tinyInputs(device, { B: 1, Lq: 4, Lk: 4 });
    for (const outputs of [null, 7, { o: null }, { o: ramp(32) }])
      await refused(
        attempt((given: never) => launcher.forward(inputs, given), outputs),
        "MTA614",
      );
  });

  it("of a device or an adapter is refused, and an adapter is known", async () => {
    const { adapter } = await openNodeGpu();
    for (const value of [null, undefined, {}, adapter]) {
      await refused(attempt(createLauncher, value, scaleArtifact(), WEIGHT), "MTA742");
      await refused(attempt(upload, value, { shape: [1], data: ramp(1) }, "f32"), "MTA742");
      await refused(attempt(allocate, value, [1], "f32"), "MTA742");
    }
    await expect(attempt(createLauncher, adapter, scaleArtifact(), WEIGHT)).rejects.toMatchObject({
      message: "a GPUDevice is needed, not its adapter",
      remedy: "await requestDevice(adapter) first, and pass what it gives",
    });
    for (const value of [null, undefined, device.queue])
      await refused(attempt(requestDevice, value), "MTA743");
  });
});

it("sizes are refused at once where only the result is too large", async () => {
  await refused(launcher.prepare({ B: 1, Lq: 2 ** 31 - 1, Lk: 2 ** 31 - 1 }), "MTA731");
});

it("a failed update of parameters changes none", async () => {
  const values = new Map([["output.norm.weight", new Float32Array(3)]]);
  const before = launcher.parameters.get("output.norm.weight");
  await refused(
    attempt((given: never) => launcher.setParameters(given), values),
    "MTA740",
  );
  expect(launcher.parameters.get("output.norm.weight")).toBe(before);
});

it("bits of f16 and bf16 elements, and Float16Arrays, are uploaded as they are", async () => {
  const bits = Uint16Array.of(0x3c00, 0xc100, 0x7c00, 0x0001);
  const half = upload(device, { shape: [4], data: bits }, "f16");
  expect([...(await download(device, half))]).toEqual([1, -2.5, Number.POSITIVE_INFINITY, 2 ** -24]);
  const brain = upload(device, { shape: [2], data: Uint16Array.of(0x3f80, 0xc020) }, "bf16");
  expect([...(await download(device, brain))]).toEqual([1, -2.5]);
  // Engines that have no Float16Array: what is told from others by its name.
  const values = Object.defineProperty(Float32Array.of(1, 0.5), Symbol.toStringTag, {
    value: "Float16Array",
  });
  expect([...(await download(device, upload(device, { shape: [2], data: values }, "f16")))]).toEqual([
    1, 0.5,
  ]);
  expect([...(await download(device, upload(device, { shape: [2], data: values }, "f32")))]).toEqual([
    1, 0.5,
  ]);
});
