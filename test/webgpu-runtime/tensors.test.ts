import { beforeAll, describe, expect, it } from "vitest";
import { allocate, createLauncher, type DeviceTensor, download, upload } from "../../runtime/index.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { ramp, scaleArtifact } from "./tiny-plans.ts";

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

describe("upload and download", () => {
  it.each([
    ["contiguous", undefined],
    ["[B, L, H, D] in memory", [24, 4, 8, 1]],
    ["rows with gaps", [80, 40, 12, 1]],
  ])("keep the elements' order: %s", async (_what, strides) => {
    const data = ramp(48);
    const tensor = upload(device, { shape: [2, 2, 3, 4], data }, "f32", strides);
    expect(await download(device, tensor)).toEqual(data);
  });

  it("keep integers", async () => {
    const data = Int32Array.of(-5, 2 ** 31 - 1, 0);
    expect(await download(device, upload(device, { shape: [3], data }, "i32"))).toEqual(data);
  });

  it("round f16 to nearest even", async () => {
    const values = Float32Array.of(
      1,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      65519,
      65520,
      2 ** -24,
      2 ** -25,
      -0.1,
      Number.NaN,
    );
    const stored = await download(device, upload(device, { shape: [9], data: values }, "f16"));
    const expected = [
      1,
      1,
      1 + 2 ** -9,
      65504,
      Number.POSITIVE_INFINITY,
      2 ** -24,
      0,
      -0.0999755859375,
      Number.NaN,
    ];
    expect([...stored]).toEqual(expected);
  });

  it("round bf16 to nearest even", async () => {
    const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.39e38, -0.1);
    const stored = await download(device, upload(device, { shape: [5], data: values }, "bf16"));
    expect([...stored]).toEqual([1, 1, 1 + 2 ** -6, 3.3895313892515355e38, -0.10009765625]);
  });

  it("put the even element into the low half of a word, and pad to whole words", async () => {
    const tensor = upload(device, { shape: [3], data: Float32Array.of(1, 2, 3) }, "bf16");
    const words = { ...tensor, shape: [2], strides: [1], storage: "i32" as const };
    expect([...(await download(device, words))]).toEqual([0x40003f80, 0x00004040]);
  });

  it("read half-precision tensors that start inside a word", async () => {
    const tensor = upload(device, { shape: [6], data: ramp(6) }, "f16");
    const tail = { ...tensor, offset: 6, shape: [3] };
    expect([...(await download(device, tail))]).toEqual([3, 4, 5]);
  });
});

describe("a tensor of one's own", () => {
  it("is destroyed by its owner, by hand or at the end of a block", async () => {
    const destroyed: string[] = [];
    const watch = <T extends DeviceTensor>(name: string, tensor: T): T => {
      const destroy = tensor.buffer.destroy.bind(tensor.buffer);
      tensor.buffer.destroy = () => {
        destroyed.push(name);
        return destroy();
      };
      return tensor;
    };
    const first = watch("first", allocate(device, [2], "f32"));
    first.destroy();
    watch("second", upload(device, { shape: [2], data: ramp(2) }, "f32"))[Symbol.dispose]();
    expect(destroyed).toEqual(["first", "second"]);
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const { o, lse } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 2, Lk: 2 }));
    watch("o", o).destroy();
    if (lse !== null) watch("lse", lse).destroy();
    expect(destroyed).toEqual(["first", "second", "o", "lse"]);
  });

  it("is not asked for: plain objects are inputs and outputs too", async () => {
    const launcher = await createLauncher(device, scaleArtifact(), WEIGHT);
    const { q, k } = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    const plain = { ...q };
    const output = { ...allocate(device, [1, 2, 2, 4], "f32") };
    const { o } = await launcher.forward({ q: plain, k: { ...k }, v: { ...k } }, { o: output });
    expect(o.buffer).toBe(output.buffer);
    expect(await download(device, output)).toEqual(scaled(16));
    o.destroy();
  });
});
