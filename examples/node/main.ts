// Runs the paper's 830M attention on this machine's best WebGPU device, through the launcher that
// `mtac compile examples/mta_830m.mta --out examples/node/mta_830m.mtac` wrote, and compares the result with the
// float64 reference. `npm start` does both.
import { referenceForward } from "mtac/reference";
import { type DeviceTensor, download, requestDevice, upload } from "mtac/runtime";
import { openNodeGpu } from "mtac/runtime/node";
import { create, initParameters } from "./mta_830m.mtac/mta_830m.js";
import { pipeline } from "./mta_830m.mtac/mta_830m.kernels.js";

/** Query rows and keys: small, so that a software device is done in seconds. */
const LENGTH = 128;

/** What f16 storage may cost, relative to float64 (‖o − reference‖ / ‖reference‖). */
const BOUND = 2e-3;

const state = { value: 1 };

const { adapter, description, isFallback } = await openNodeGpu();
const device = await requestDevice(adapter);
try {
  const parameters = initParameters(1);
  // A new convolution is the identity; a trained one is not.
  for (const { data } of Object.values(parameters)) addNoise(data, 0.1);

  const compiling = performance.now();
  const launcher = await create(device, parameters);
  const compiled = performance.now() - compiling;

  const { heads, headDim } = pipeline;
  const random = (): DeviceTensor => {
    const data = new Float32Array(heads * LENGTH * headDim);
    addNoise(data, 1);
    return upload(device, { shape: [1, heads, LENGTH, headDim], data }, "f16");
  };
  const inputs = { q: random(), k: random(), v: random() };
  await launcher.forward(inputs); // The first call is slower: the driver still has work to do.
  const { o, statistics } = await launcher.forward(inputs);

  const read = async (tensor: DeviceTensor) => ({
    shape: tensor.shape,
    data: Float64Array.from(await download(device, tensor)),
  });
  const began = performance.now();
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
  const referenceMs = performance.now() - began;
  const error = relativeError((await read(o)).data, expected.o.data);

  const rows = [
    ["attention", `${pipeline.name}: ${heads} heads of ${headDim}, ${pipeline.storage}, ${describeStages()}`],
    ["device", `${description}${isFallback ? ", a software device: good for checks, not for speed" : ""}`],
    [
      "plan",
      `${statistics.schedule}, ${launcher.launcher.plan.storage} storage, ${statistics.kernels} dispatches`,
    ],
    [
      "memory",
      `${mebibytes(statistics.workspaceBytes)} beside the tensors; one map of scores: ${mebibytes(heads * LENGTH * LENGTH * 4)}`,
    ],
    [
      "time",
      `${statistics.wallMs.toFixed(1)} ms for ${LENGTH} rows (${compiled.toFixed(0)} ms to compile the kernels, once)`,
    ],
    ["reference", `${referenceMs.toFixed(0)} ms in float64`],
    [
      "error",
      `${error.toExponential(1)} of at most ${BOUND.toExponential(0)}: ${error <= BOUND ? "passed" : "FAILED"}`,
    ],
  ];
  console.log(`\n${rows.map(([label = "", value = ""]) => `  ${label.padEnd(10)} ${value}`).join("\n")}\n`);
  if (!(error <= BOUND)) process.exitCode = 1;
  launcher.destroy();
} finally {
  device.destroy();
}

/** In [0, 1): the "minimal standard" generator of Park and Miller. */
function uniform(): number {
  state.value = (state.value * 48271) % 2147483647;
  return state.value / 2147483647;
}

function describeStages(): string {
  return [...pipeline.scores, ...pipeline.weights, ...pipeline.output].map((stage) => stage.name).join(" ");
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

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}
