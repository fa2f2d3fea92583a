import { expect, test } from "vitest";
import { emitArtifact } from "../../compiler/emit/index.ts";
import { buildImages } from "../../compiler/toolchain/images.ts";
import { createCudaLauncher, download, openEmulatedCuda, upload } from "../../runtime/cuda/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { findNvcc } from "../cuda/harness.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { relativeError } from "../support/errors.ts";
import { pipelineOf } from "../support/pipelines.ts";

const nvcc = await findNvcc();

test.skipIf(nvcc === null)(
  "an artifact with images runs where there is no compiler",
  async () => {
    const pipeline = pipelineOf("attention a { heads 2 head_dim 16 mask causal scores { conv 2x3 } }", "a");
    const made = emitArtifact(pipeline, { target: "cuda" });
    const images = await buildImages([made], ["sm_80", "sm_90a"], () => {});
    const carried = [...images.values()].flat();
    expect(carried.map(({ kind, architecture }) => `${kind} ${architecture}`)).toEqual([
      "cubin sm_80",
      "cubin sm_90a",
      "ptx sm_80",
    ]);
    // Emulated devices take PTX, as devices do that are newer than the cubins.
    const device = await openEmulatedCuda({ compiler: "images" });
    const inputs = drawInputs(pipeline, { B: 1, Lq: 20, Lk: 20, R: 0 }, false, 1);
    const parameters = drawParameters(pipeline, 1);
    const values = new Map(
      [...parameters].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data) }]),
    );
    const launcher = await createCudaLauncher(device, { ...made, images: carried }, values);
    const put = ({ shape, data }: (typeof inputs)["q"]) =>
      upload(device, { shape, data: Float32Array.from(data) }, "f32");
    const { o } = await launcher.forward({ q: put(inputs.q), k: put(inputs.k), v: put(inputs.v) });
    const expected = referenceForward(pipeline, parameters, inputs).o.data;
    expect(relativeError(await download(device, o), expected)).toBeLessThan(5e-6);
  },
  120_000,
);
