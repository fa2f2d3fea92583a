import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type AttentionInputs,
  createLauncher,
  type DeviceTensor,
  download,
  type Launcher,
  releaseWorkspace,
  upload,
} from "../../runtime/index.ts";
import { openDevice, scaled, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { scaleArtifact } from "./tiny-plans.ts";

let device: GPUDevice;
beforeAll(async () => {
  device = await openDevice();
});

const NEW_WEIGHT = new Map([["output.norm.weight", Float32Array.of(9, 9, 9, 9)]]);

/** A query's size for which each way of submitting a call computes `scaled(…)`. */
const SIZE = { B: 2, Lq: 8, Lk: 8 };

/** The ways in which a call can be submitted: each with a launcher whose kernels no other test has compiled. */
const WAYS: readonly [string, (salt: number) => Promise<Launcher>][] = [
  ["at once", () => createLauncher(device, scaleArtifact(), WEIGHT)],
  ["in pieces", () => createLauncher(device, scaleArtifact(), WEIGHT, { submissionBudget: 1 })],
  [
    "after its kernels are compiled",
    (salt) => {
      // The factor is 1, but known only with the call's size; the salt makes the source a new one.
      const artifact = scaleArtifact({}, { overrides: { factor: ["sub", "Lq", SIZE.Lq - 1] } });
      const sources = Object.entries(artifact.sources).map(([file, text]) => [file, `${text}// ${salt}\n`]);
      return createLauncher(device, { ...artifact, sources: Object.fromEntries(sources) }, WEIGHT);
    },
  ],
];

interface Given {
  readonly launcher: Launcher;
  readonly inputs: AttentionInputs<DeviceTensor>;
}

const CHANGES: readonly [string, (given: Given) => void][] = [
  ["new parameters", ({ launcher }) => launcher.setParameters(NEW_WEIGHT)],
  ["the launcher's end", ({ launcher }) => launcher.destroy()],
  [
    "a write to an input",
    ({ inputs }) => device.queue.writeBuffer(inputs.q.buffer, 0, new Float32Array(64).fill(7)),
  ],
  ["the end of an input", ({ inputs }) => inputs.q.buffer.destroy()],
  [
    "the end of positions",
    ({ inputs }) => {
      inputs.positions?.buffer.destroy();
    },
  ],
  ["another tensor in the same object", ({ inputs }) => Object.assign(inputs, { q: inputs.k })],
];

describe.each(WAYS)("a call that is submitted %s", (_way, create) => {
  // Copies that earlier tests left in memory would be right here, too.
  beforeEach(() => releaseWorkspace(device));

  it.each(CHANGES)("does not see %s", async (what, change) => {
    const launcher = await create(CHANGES.findIndex(([name]) => name === what));
    const positions = upload(device, { shape: [2], data: Int32Array.of(3, 100) }, "i32");
    const inputs = { ...tinyInputs(device, SIZE), positions };
    const call = launcher.forward(inputs);
    change({ launcher, inputs });
    const { o, lse } = await call;
    expect(await download(device, o)).toEqual(scaled(128));
    const rows = (first: number) => Array.from({ length: 8 }, (_, row) => first + row);
    expect(lse === null ? [] : [...(await download(device, lse))]).toEqual(
      [3, 3, 100, 100].flatMap((first) => rows(first)),
    );
  });

  it("keeps tensors in one buffer apart", async () => {
    const launcher = await create(-1);
    const inputs = tinyInputs(device, SIZE);
    // q lies behind 512 bytes, k and v before it.
    const buffer = device.createBuffer({ size: 1024, usage: inputs.q.buffer.usage });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(inputs.q.buffer, 0, buffer, 512, 512);
    encoder.copyBufferToBuffer(inputs.k.buffer, 0, buffer, 0, 256);
    device.queue.submit([encoder.finish()]);
    const [q, k] = [
      { ...inputs.q, buffer, offset: 512 },
      { ...inputs.k, buffer },
    ];
    const call = launcher.forward({ q, k, v: k });
    buffer.destroy();
    expect(await download(device, (await call).o)).toEqual(scaled(128));
  });
});
