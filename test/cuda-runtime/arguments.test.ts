import { describe, expect, test } from "vitest";
import { allocate, createCudaLauncher, download, upload } from "../../runtime/cuda/index.ts";
import {
  attempt,
  BAD_ARTIFACTS,
  BAD_DOWNLOADS,
  BAD_INPUTS,
  BAD_PARAMETERS,
  BAD_SIZES,
  BAD_UPLOADS,
} from "../support/bad-arguments.ts";
import { artifact, device } from "./driver-fixture.ts";
import { tinyInputs, WEIGHT } from "./fixture.ts";

const refused = (attempted: Promise<unknown>, code: string): Promise<void> =>
  expect(attempted).rejects.toMatchObject({ code, remedy: expect.stringMatching(/./) });

describe("what is given instead", () => {
  test.each(BAD_UPLOADS)("of a tensor to upload is refused: %s", (_what, code, args) =>
    refused(attempt(upload, device, ...args), code.replace("MTA7", "MTA8")),
  );

  test.each(BAD_SIZES)("of a size to prepare is refused: %s", async (_what, code, size) => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    await refused(
      attempt((given: never) => launcher.prepare(given), size),
      code,
    );
    launcher.destroy();
  });

  test.each(BAD_INPUTS)("of inputs is refused: %s", async (_what, code, change) => {
    const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
    const inputs = change(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    await refused(
      attempt((given: never) => launcher.forward(given), inputs),
      code,
    );
    launcher.destroy();
  });

  test.each(BAD_PARAMETERS)("of parameters is refused: %s", (_what, values) =>
    refused(attempt(createCudaLauncher, device, artifact(), values), "MTA618"),
  );

  test.each(BAD_DOWNLOADS)("of a tensor to download is refused: %s", (_what, code, change) => {
    const tensor = { ...upload(device, { shape: [6], data: new Float32Array(6) }, "f32") };
    return refused(attempt(download, device, change(tensor)), code);
  });

  test.each(BAD_ARTIFACTS)("of an artifact is refused: %s", (_what, given) =>
    refused(attempt(createCudaLauncher, device, given, WEIGHT), "MTA811"),
  );

  test("of a device is refused", async () => {
    for (const value of [null, undefined, {}]) {
      await refused(attempt(createCudaLauncher, value, artifact(), WEIGHT), "MTA842");
      await refused(attempt(upload, value, { shape: [1], data: new Float32Array(1) }, "f32"), "MTA842");
      await refused(attempt(allocate, value, [1], "f32"), "MTA842");
      await refused(attempt(download, value, {}), "MTA842");
    }
  });
});

test("sizes are refused at once where only the result is too large", async () => {
  const launcher = await createCudaLauncher(device, artifact(), WEIGHT);
  await refused(launcher.prepare({ B: 1, Lq: 2 ** 31 - 1, Lk: 2 ** 31 - 1 }), "MTA832");
  launcher.destroy();
});

test("bits of f16 and bf16 elements are uploaded as they are", async () => {
  const half = upload(device, { shape: [2], data: Uint16Array.of(0x3c00, 0xc100) }, "f16");
  expect(await download(device, half)).toEqual(Float32Array.of(1, -2.5));
  const brain = upload(device, { shape: [2], data: Uint16Array.of(0x3f80, 0xc020) }, "bf16");
  expect(await download(device, brain)).toEqual(Float32Array.of(1, -2.5));
});
