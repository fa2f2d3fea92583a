// Runs the paper's 300M attention on an NVIDIA GPU, else on the emulated CUDA device (which needs nvcc, but no GPU), through
// the launcher that `mtac compile` wrote, and compares the result with the float64 reference:
//
//     mtac compile examples/mta_300m.mta --name mta_300m --target cuda --out examples/node/mta_300m.mtac
//     npx tsx examples/node/cuda.ts
//
// A GPU needs NVIDIA's driver, the npm package koffi, and nvcc or NVRTC to compile the kernels, once: they are cached.
import { referenceForward } from "mtac/reference";
import {
  type CudaDevice,
  CudaError,
  type CudaTensor,
  download,
  openCuda,
  openEmulatedCuda,
  release,
  upload,
} from "mtac/runtime/cuda";
import { create, initParameters } from "./mta_300m.mtac/mta_300m.cuda.js";
import { pipeline } from "./mta_300m.mtac/mta_300m.cuda.kernels.js";

/** Query rows and keys: few, so that the emulated device is done in seconds. */
const LENGTH = 64;

/** What f16 storage may cost, relative to float64 (‖o − reference‖ / ‖reference‖). */
const BOUND = 2e-3;

const state = { value: 1 };

const device = await openDevice();
try {
  const parameters = initParameters(1);
  // A new convolution is the identity; a trained one is not.
  for (const { data } of Object.values(parameters)) addNoise(data, 0.1);

  const compiling = performance.now();
  const launcher = await create(device, parameters, { timestamps: true });
  const compiled = performance.now() - compiling;

  const { heads, headDim } = pipeline;
  const random = (): CudaTensor => {
    const data = new Float32Array(heads * LENGTH * headDim);
    addNoise(data, 1);
    return upload(device, { shape: [1, heads, LENGTH, headDim], data }, "f16");
  };
  const inputs = { q: random(), k: random(), v: random() };
  const { o, lse, statistics } = await launcher.forward(inputs);

  const read = async (tensor: CudaTensor) => ({
    shape: tensor.shape,
    data: Float64Array.from(await download(device, tensor)),
  });
  const expected = referenceForward(
    pipeline,
    new Map(
      Object.entries(parameters).map(([name, { shape, data }]) => [
        name,
        { shape, data: Float64Array.from(data) },
      ]),
    ),
    { q: await read(inputs.q), k: await read(inputs.k), v: await read(inputs.v) },
  );
  const error = relativeError((await read(o)).data, expected.o.data);

  const { counters, deviceMs, kernels, schedule, wallMs, workspaceBytes } = statistics;
  const rows = [
    ["attention", `${pipeline.name}: ${heads} heads of ${headDim}, ${pipeline.storage}`],
    ["device", device.properties.name],
    ["plan", `${schedule}, ${kernels} launches, ${(workspaceBytes / 2 ** 20).toFixed(2)} MiB of workspace`],
    [
      "time",
      `${(deviceMs ?? wallMs).toFixed(2)} ms for ${LENGTH} rows (${compiled.toFixed(0)} ms to get the kernels ready)`,
    ],
    // An emulated device has no clock; it counts instead.
    ...(counters === null
      ? []
      : [
          [
            "counted",
            `${counters.warpInstructions} warp instructions, ${counters.tensorMultiplyAdds} multiply-adds on tensor cores`,
          ],
        ]),
    [
      "error",
      `${error.toExponential(1)} of at most ${BOUND.toExponential(0)}: ${error <= BOUND ? "passed" : "FAILED"}`,
    ],
  ];
  console.log(`\n${rows.map(([label = "", value = ""]) => `  ${label.padEnd(10)} ${value}`).join("\n")}\n`);
  if (!(error <= BOUND)) process.exitCode = 1;
  for (const tensor of Object.values(inputs)) release(device, tensor);
  release(device, o);
  if (lse !== null) release(device, lse);
  launcher.destroy();
} finally {
  await device.close();
}

async function openDevice(): Promise<CudaDevice> {
  try {
    return await openCuda();
  } catch (error) {
    if (!(error instanceof CudaError)) throw error;
    console.log(`\n  no GPU: ${error.message}`);
    return openEmulatedCuda();
  }
}

/** In [0, 1): the "minimal standard" generator of Park and Miller. */
function uniform(): number {
  state.value = (state.value * 48271) % 2147483647;
  return state.value / 2147483647;
}

/** Adds normal numbers (Box and Muller), the same on every run. */
function addNoise(data: Float32Array, spread: number): void {
  for (let index = 0; index < data.length; index++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    data[index] = (data[index] ?? 0) + spread * radius * Math.cos(2 * Math.PI * uniform());
  }
}

function relativeError(actual: Float64Array, expected: Float64Array): number {
  let difference = 0;
  let norm = 0;
  for (const [index, value] of expected.entries()) {
    difference += ((actual[index] ?? 0) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}
