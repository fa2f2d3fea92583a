import { afterAll, describe, expect, test } from "vitest";
import { contiguousStrides } from "../../runtime/contract/layout.ts";
import {
  allocate,
  type CpuTensor,
  createCpuLauncher,
  deviceIdentity,
  download,
  openCpu,
  type Plan,
  upload,
} from "../../runtime/cpu/index.ts";
import {
  attempt,
  BAD_ARTIFACTS,
  BAD_DOWNLOADS,
  BAD_INPUTS,
  BAD_PARAMETERS,
  BAD_SIZES,
  BAD_UPLOADS,
} from "../support/bad-arguments.ts";
import { scaleArtifact } from "../webgpu-runtime/tiny-plans.ts";
import { TINY_WEIGHT, tinyArtifact, tinyInputs } from "./tiny.ts";

// WebAssembly, which there is everywhere: arguments are checked before a library sees them.
const device = await openCpu({ library: "wasm", threads: 2 });
const launcher = await createCpuLauncher(device, tinyArtifact(), TINY_WEIGHT);
afterAll(() => device.close());

const SIZE = { B: 1, Lq: 4, Lk: 4 };

const refused = (attempted: Promise<unknown>, code: string): Promise<void> =>
  expect(attempted).rejects.toMatchObject({ code, remedy: expect.stringMatching(/./) });

describe("what is given instead", () => {
  test.each(BAD_UPLOADS)("of a tensor to upload is refused: %s", (_what, code, args) =>
    refused(attempt(upload, device, ...args), code.replace("MTA728", "MTA897")),
  );

  test.each(BAD_SIZES)("of a size to prepare is refused: %s", (_what, code, size) =>
    refused(
      attempt((given: never) => launcher.prepare(given), size),
      code,
    ),
  );

  test.each(BAD_INPUTS)("of inputs is refused: %s", (_what, code, change) =>
    refused(
      attempt((given: never) => launcher.forward(given), change(tinyInputs(device, SIZE))),
      code,
    ),
  );

  test.each(BAD_PARAMETERS)("of parameters is refused: %s", (_what, values) =>
    refused(attempt(createCpuLauncher, device, tinyArtifact(), values), "MTA618"),
  );

  test.each(BAD_DOWNLOADS)("of a tensor to download is refused: %s", (_what, code, change) => {
    const tensor = { ...upload(device, { shape: [6], data: new Float32Array(6) }, "f32") };
    return refused(attempt(download, device, change({ ...tensor, memory: tensor.memory })), code);
  });

  test.each([
    ["MTA893", { offset: -4 }],
    ["MTA893", { offset: 2 }],
    ["MTA893", { offset: Number.NaN }],
    ["MTA894", { offset: 8 }],
    ["MTA894", { shape: [7] }],
  ] as const)("of a tensor's place in its memory is refused by download: %s", (code, change) => {
    const tensor = { ...upload(device, { shape: [6], data: new Float32Array(6) }, "f32") };
    return refused(attempt(download, device, { ...tensor, ...change }), code);
  });

  test.each(BAD_ARTIFACTS)("of an artifact is refused: %s", (_what, given) =>
    refused(attempt(createCpuLauncher, device, given, TINY_WEIGHT), "MTA890"),
  );

  test("of a device is refused", async () => {
    for (const value of [null, undefined, {}, openCpu({ library: "wasm" })]) {
      await refused(attempt(createCpuLauncher, value, tinyArtifact(), TINY_WEIGHT), "MTA899");
      await refused(attempt(upload, value, { shape: [1], data: new Float32Array(1) }, "f32"), "MTA899");
      await refused(attempt(allocate, value, [1], "f32"), "MTA899");
      await refused(attempt(download, value, {}), "MTA899");
    }
  });

  test("of a number of threads is refused", async () => {
    for (const threads of [0, -1, 1.5, 257, "2", null])
      await refused(attempt(openCpu, { threads }), "MTA886");
  });
});

describe("tensors that do not fit their roles", () => {
  const { q, k, v } = tinyInputs(device, SIZE);
  const shape = [1, 2, 4, 4] as const;
  const poisoned = (): CpuTensor =>
    upload(device, { shape, data: new Float32Array(32).fill(Number.NaN) }, "f32");

  test.each<readonly [string, string, object, object]>([
    ["MTA891", "storage", { q: { ...q, storage: "f16" } }, {}],
    ["MTA892", "a last axis with a stride", { q: { ...q, strides: [32, 16, 1, 4] } }, {}],
    ["MTA893", "an offset within an element", { k: { ...k, offset: 2 } }, {}],
    ["MTA894", "an offset that leads past the end", { v: { ...v, offset: 4 } }, {}],
    ["MTA894", "strides that lead past the end", { k: { ...k, strides: [16, 16, 8, 1] } }, {}],
    ["MTA895", "a result over an input", {}, { o: q }],
    ["MTA896", "a result of another shape", {}, { o: { ...q, shape: [1, 2, 2, 8] } }],
    ["MTA892", "a result over itself", {}, { o: { ...q, strides: [32, 0, 4, 1] } }],
  ])("%s: %s; nothing is written", async (code, _what, inputs, outputs) => {
    const o = poisoned();
    await refused(
      attempt(
        (...given: [never, never]) => launcher.forward(...given),
        { q, k, v, ...inputs },
        { o, ...outputs },
      ),
      code,
    );
    expect((await download(device, o)).every(Number.isNaN)).toBe(true);
    expect(contiguousStrides(shape)).toEqual(o.strides);
  });

  test("a parameter with too few values", async () => {
    const values = new Map([["output.norm.weight", Float32Array.of(1, 2, 3)]]);
    await expect(createCpuLauncher(device, tinyArtifact(), values)).rejects.toMatchObject({ code: "MTA898" });
  });

  test.each([
    ["strip", 0, /strip is 0: no multiple of 4/],
    ["strip", 6, /strip is 6/],
    ["strip", "wide", /strip is wide/],
    ["strip", undefined, /strip is undefined/],
    ["block", -32, /block is -32: no multiple of 32/],
    ["block", 48.5, /block is 48.5/],
    ["block", 2 ** 31, /block is 2147483648/],
    ["threads", 0, /threads is 0: no multiple of 1/],
    ["threads", 1.5, /threads is 1.5/],
    ["threads", "some", /threads is some/],
  ])("a plan that was edited: %s %s", async (knob, value, message) => {
    const artifact = tinyArtifact();
    // As it comes from a file.
    const plans: Plan[] = JSON.parse(JSON.stringify(artifact.plans));
    const edited = plans.map((plan) => ({ ...plan, knobs: { ...plan.knobs, [knob]: value } }));
    await expect(
      createCpuLauncher(device, JSON.parse(JSON.stringify({ ...artifact, plans: edited })), TINY_WEIGHT),
    ).rejects.toMatchObject({ code: "MTA889", message: expect.stringMatching(message) });
    // One that won is passed over.
    const winners = edited.map((plan) => ({ ...plan, tuned: true }));
    const bucket = { B: 1, Lq: 4, Lk: 4, R: 0 };
    const tuned = [{ device: deviceIdentity(device), bucket, plan: plans.length }];
    const both = JSON.parse(JSON.stringify({ ...artifact, plans: [...plans, ...winners], tuned }));
    const chosen = await createCpuLauncher(device, both, TINY_WEIGHT);
    expect(chosen.planFor(bucket).knobs).toEqual(plans[0]?.knobs);
  });

  test("plans for another target, and plans that there are not", async () => {
    await refused(createCpuLauncher(device, scaleArtifact(), TINY_WEIGHT), "MTA890");
    const [plan] = scaleArtifact().plans;
    if (plan === undefined) throw new Error("no plan");
    await refused(createCpuLauncher(device, tinyArtifact(), TINY_WEIGHT, { plan }), "MTA889");
    const [other] = tinyArtifact().plans;
    if (other === undefined) throw new Error("no plan");
    await refused(createCpuLauncher(device, tinyArtifact(), TINY_WEIGHT, { plan: other }), "MTA890");
    await refused(createCpuLauncher(device, tinyArtifact(), TINY_WEIGHT, { plan: 7 }), "MTA890");
  });
});

test("launchers leave no memory behind", async () => {
  const own = await openCpu({ library: "wasm", threads: 1 });
  const { q, k, v } = tinyInputs(own, SIZE);
  const held = new Set<unknown>();
  const { allocate: take, free: give } = own.library;
  own.library.allocate = (...asked) => {
    const memory = take.apply(own.library, asked);
    held.add(memory);
    return memory;
  };
  own.library.free = (memory) => {
    held.delete(memory);
    give.call(own.library, memory);
  };
  const run = async (): Promise<number> => {
    const made = await createCpuLauncher(own, tinyArtifact(), TINY_WEIGHT);
    const { o, lse } = await made.forward({ q, k, v });
    o.destroy();
    lse?.destroy();
    made.destroy();
    return held.size;
  };
  const once = await run();
  expect(await run()).toBe(once);
  await own.close();
});

describe("what is used after its end", () => {
  test("tensors that were destroyed, and another device's", async () => {
    const { q, k, v } = tinyInputs(device, SIZE);
    const gone = allocate(device, [1, 2, 4, 4], "f32");
    gone.destroy();
    gone.destroy();
    await refused(launcher.forward({ q: gone, k, v }), "MTA887");
    await refused(launcher.forward({ q, k, v }, { o: gone }), "MTA887");
    await refused(download(device, gone), "MTA887");
    const other = await openCpu({ library: "wasm", threads: 1 });
    await refused(launcher.forward({ ...tinyInputs(other, SIZE), k }), "MTA887");
    await other.close();
  });

  test("a launcher, and a device", async () => {
    const own = await openCpu({ library: "wasm", threads: 1 });
    const tensors = tinyInputs(own, SIZE);
    const made = await createCpuLauncher(own, tinyArtifact(), TINY_WEIGHT);
    made.destroy();
    await refused(made.forward(tensors), "MTA887");
    const other = await createCpuLauncher(own, tinyArtifact(), TINY_WEIGHT);
    const running = other.forward(tensors);
    await own.close();
    expect((await running).o.shape).toEqual([1, 2, 4, 4]);
    await refused(other.forward(tensors), "MTA887");
    await refused(createCpuLauncher(own, tinyArtifact(), TINY_WEIGHT), "MTA887");
    await refused(
      attempt(() => allocate(own, [4], "f32")),
      "MTA887",
    );
    other.destroy();
    await own.close();
  });
});
