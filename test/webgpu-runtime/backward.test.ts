import { beforeAll, describe, expect, test } from "vitest";
import type { Artifact, AttentionInputs } from "../../runtime/contract/index.ts";
import { createLauncher, type DeviceTensor, download, type Launcher, upload } from "../../runtime/index.ts";
import { openDevice, tinyInputs, WEIGHT } from "./device-fixture.ts";
import { kernel, LAUNCH_STRUCT, plan, ramp, scaleArtifact } from "./tiny-plans.ts";

// Gradients through a plan that was written by hand: what the launcher does with any.

/** Elements of d_q; d_k and d_v are as large, and the parameters are four. */
const COUNT = 16;

/** d_q = weight · d_o, d_k = q, d_v = the element's number; each parameter's gradient is its own number. */
const SOURCE = `${LAUNCH_STRUCT}
@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> d_o: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<u32>;
@group(0) @binding(4) var<storage, read_write> d_q: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_k: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_v: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_parameters: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ${COUNT}u) { return; }
  let channel = id.x % 4u;
  let row = id.x / 4u % 2u;
  let head = id.x / 8u;
  let at = head * launch.d_o_stride_h + row * launch.d_o_stride_l + channel;
  d_q[id.x] = bitcast<f32>(parameters[channel]) * d_o[at];
  if (id.x < 8u) { d_k[id.x] = q[id.x]; d_v[id.x] = f32(id.x); }
  if (id.x < 4u) { d_parameters[id.x] = f32(id.x); }
}
`;

function artifact(): Artifact {
  const forward = scaleArtifact();
  const own = kernel("gradients", ["q", "<d_o", "parameters", "d_q", "d_k", "d_v", "d_parameters"]);
  const dispatch = {
    kind: "dispatch",
    kernel: "gradients",
    grid: [1, 1, 1],
    launch: {},
    multiplyAdds: 16,
  } as const;
  return {
    ...forward,
    backward: [plan([own], [dispatch], { direction: "backward" })],
    sources: { ...forward.sources, "tiny.gradients.wgsl": SOURCE },
  };
}

describe("gradients on WebGPU", () => {
  let device: GPUDevice;
  let launcher: Launcher;
  let inputs: AttentionInputs<DeviceTensor>;
  let dO: DeviceTensor;

  beforeAll(async () => {
    device = await openDevice();
    launcher = await createLauncher(device, artifact(), WEIGHT);
    inputs = tinyInputs(device, { B: 1, Lq: 2, Lk: 2 });
    // One row for all heads and rows.
    const row = upload(device, { shape: [4], data: Float32Array.of(1, 10, 100, 1000) }, "f32");
    dO = { ...row, shape: [1, 2, 2, 4], strides: [0, 0, 0, 1] };
  });

  const D_Q = Array.from({ length: 4 }, () => [1, 20, 300, 4000]).flat();
  const read = async (tensor: DeviceTensor | null): Promise<readonly number[] | null> =>
    tensor === null ? null : Array.from(await download(device, tensor));

  test("come as tensors, those of the parameters by name", async () => {
    const { saved } = await launcher.forward(inputs, { save: true });
    const { dQ, dQHistory, dK, dV, dParameters, parameters, statistics } = await launcher.backward(saved, dO);
    expect([await read(dQ), dQHistory, dParameters]).toEqual([D_Q, null, null]);
    expect([await read(dK), await read(dV)]).toEqual([[...ramp(8)], [...ramp(8)]]);
    expect([...(parameters.get("output.norm.weight")?.data ?? [])]).toEqual([0, 1, 2, 3]);
    expect(statistics.kernels).toBe(1);
    saved.release();
  });

  test("that nobody wants go to memory of the call", async () => {
    const { saved } = await launcher.forward(inputs, { save: true });
    const { dQ, dK, parameters } = await launcher.backward(saved, dO, { wanted: ["dK"] });
    expect([dQ, await read(dK), parameters]).toEqual([null, [...ramp(8)], null]);
    saved.release();
  });

  test("are recorded into a caller's encoder", async () => {
    await launcher.prepare({ B: 1, Lq: 2, Lk: 2, backward: true });
    const encoder = device.createCommandEncoder();
    const forward = launcher.encode(encoder, inputs, { save: true });
    const gradients = launcher.encodeBackward(encoder, forward.saved, dO);
    device.queue.submit([encoder.finish()]);
    for (const each of [forward, gradients]) {
      await each.checked;
      each.release();
    }
    forward.saved.release();
    expect(await read(gradients.dQ)).toEqual(D_Q);
    expect(await read(gradients.dParameters)).toEqual([0, 1, 2, 3]);
    expect(gradients.dQHistory).toBeNull();
    await expect(async () => launcher.encodeBackward(encoder, forward.saved, dO)).rejects.toMatchObject({
      code: "MTA623",
    });
  });

  test("may not lie in the buffer of an input", async () => {
    const { saved } = await launcher.forward(inputs, { save: true });
    await expect(launcher.backward(saved, dO, { dQ: inputs.q })).rejects.toMatchObject({ code: "MTA726" });
    saved.release();
  });
});
