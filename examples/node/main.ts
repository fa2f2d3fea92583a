// Runs the paper's 830M attention on this machine's best device, the GPU or else the processor, through the launchers that
// `mtac compile examples/mta_830m.mta --out examples/node/mta_830m.mtac` wrote, and compares the result with the
// float64 reference. `npm start` does both.
import { referenceForward } from "mtac/reference";
import * as webgpu from "mtac/runtime";
import * as cpu from "mtac/runtime/cpu";
import { hasNodeGpu, openNodeGpu } from "mtac/runtime/node";
import * as onCpu from "./mta_830m.mtac/mta_830m.cpu.js";
import * as onGpu from "./mta_830m.mtac/mta_830m.js";
import { pipeline } from "./mta_830m.mtac/mta_830m.kernels.js";

/** Query rows and keys. */
const LENGTH = 128;

/** What f16 storage may cost, relative to float64 (‖o − reference‖ / ‖reference‖). */
const BOUND = 2e-3;

interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** A launcher as this program needs it: those for WebGPU and for the processor differ in their tensors alone. */
interface Launcher<Tensor> {
  forward(inputs: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor }): Promise<{
    readonly o: Tensor;
    readonly statistics: cpu.CallStatistics;
  }>;
  destroy(): void;
}

interface Device<Tensor> {
  readonly description: string;
  create(parameters: onCpu.Mta830mParameters): Promise<Launcher<Tensor>>;
  upload(tensor: HostTensor): Tensor;
  download(tensor: Tensor): Promise<Float32Array | Int32Array>;
  close(): void | Promise<void>;
}

const opening = performance.now();
if (await hasNodeGpu()) await computeAndCheck(await openGpu());
else await computeAndCheck(await openProcessor());

async function openGpu(): Promise<Device<webgpu.DeviceTensor>> {
  const { adapter, description } = await openNodeGpu();
  const device = await webgpu.requestDevice(adapter);
  return {
    description,
    create: (parameters) => onGpu.create(device, parameters),
    upload: (tensor) => webgpu.upload(device, tensor, pipeline.storage),
    download: (tensor) => webgpu.download(device, tensor),
    close: () => device.destroy(),
  };
}

async function openProcessor(): Promise<Device<cpu.CpuTensor>> {
  const device = await cpu.openCpu();
  return {
    description: device.description,
    create: (parameters) => onCpu.create(device, parameters),
    upload: (tensor) => cpu.upload(device, tensor, pipeline.storage),
    download: (tensor) => cpu.download(device, tensor),
    close: () => device.close(),
  };
}

async function computeAndCheck<Tensor>(device: Device<Tensor>): Promise<void> {
  const uniform = uniformNumbers(1);
  const parameters = onCpu.initParameters(1);
  // A new convolution is the identity; a trained one is not.
  for (const { data } of Object.values(parameters)) addNoise(data, 0.1, uniform);
  const launcher = await device.create(parameters);
  const ready = performance.now() - opening;

  const { heads, headDim } = pipeline;
  const random = (): Tensor => {
    const data = new Float32Array(heads * LENGTH * headDim);
    addNoise(data, 1, uniform);
    return device.upload({ shape: [1, heads, LENGTH, headDim], data });
  };
  const inputs = { q: random(), k: random(), v: random() };
  await launcher.forward(inputs); // The first call is slower: the driver still has work to do.
  const { o, statistics } = await launcher.forward(inputs);

  const read = async (tensor: Tensor) => ({
    shape: [1, heads, LENGTH, headDim],
    data: Float64Array.from(await device.download(tensor)),
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

  const { wallMs, schedule, kernels, workspaceBytes } = statistics;
  const rows = [
    ["attention", `${pipeline.name}: ${heads} heads of ${headDim}, ${pipeline.storage}, ${describeStages()}`],
    ["device", device.description],
    ["plan", `${schedule}, ${kernels === 1 ? "1 kernel" : `${kernels} kernels`}`],
    [
      "memory",
      `${mebibytes(workspaceBytes)} beside the tensors; one map of scores: ${mebibytes(heads * LENGTH * LENGTH * 4)}`,
    ],
    [
      "time",
      `${wallMs.toFixed(1)} ms for ${LENGTH} rows (${ready.toFixed(0)} ms until device and kernels were ready)`,
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
  await device.close();
}

/** Numbers in [0, 1): the "minimal standard" generator of Park and Miller. */
function uniformNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function describeStages(): string {
  return [...pipeline.scores, ...pipeline.weights, ...pipeline.output].map((stage) => stage.name).join(" ");
}

/** Adds normal numbers (Box and Muller), the same on every run. */
function addNoise(data: Float32Array, spread: number, uniform: () => number): void {
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
