import { describe } from "vitest";
import { allocate, createCudaLauncher, download, upload } from "../../runtime/cuda/index.ts";
import { describeGradientChecks } from "../support/gradients.ts";
import { gradientsOn } from "../support/train.ts";
import { emulatedDevice, findNvcc, machineFor } from "./harness.ts";

const available = (await findNvcc()) !== null;

describe.skipIf(!available)("gradients on CUDA, executed from PTX", async () => {
  if (!available) return;
  const device = await emulatedDevice();
  const memory = {
    launch: createCudaLauncher.bind(null, device),
    allocate: (shape: readonly number[], storage: Parameters<typeof allocate>[2], label: string) =>
      allocate(device, shape, storage, { label }),
    upload: upload.bind(null, device),
    download: download.bind(null, device),
  };
  describeGradientChecks(
    [12],
    (seed) => [4, 8, 20, 32][seed % 4] ?? 32,
    (trial, stripRows) => gradientsOn(memory, machineFor("sm_80"), trial, stripRows),
    { runs: 4, isolates: 8 },
  );
});
