// Runs the attention of spec.mta on this machine's best WebGPU device, through the launcher that `npm run build` emitted
// into src/attention, and compares the result with the float64 reference.
import { referenceForward } from "mtac/reference";
import { download, randomParameters, requestDevice, upload } from "mtac/runtime";
import { openNodeGpu } from "mtac/runtime/node";
import { createSearch, initParameters } from "./attention/search.js";
import { pipeline } from "./attention/search.kernels.js";

const LENGTH = 100;
/** What f32 may cost, relative to float64 (‖o − reference‖ / ‖reference‖). */
const TOLERANCE = 5e-6;

const { adapter, description } = await openNodeGpu();
const device = await requestDevice(adapter);

// A new convolution is the identity; these are as a trained one could be.
const parameters = initParameters(1);
for (const [name, { data }] of randomParameters(pipeline, 1))
  Object.entries(parameters)
    .find(([own]) => own === name)?.[1]
    .data.set(data);

const shape = [1, pipeline.heads, LENGTH, pipeline.headDim];
const random = (phase: number) => ({
  shape,
  data: Float64Array.from({ length: pipeline.heads * LENGTH * pipeline.headDim }, (_, index) =>
    Math.fround(Math.sin(phase + 1.7 * index) + Math.cos(phase * index)),
  ),
});
const host = { q: random(1), k: random(2), v: random(3) };

const launcher = await createSearch(device, parameters);
const { o, statistics } = await launcher.forward({
  q: upload(device, host.q, "f32"),
  k: upload(device, host.k, "f32"),
  v: upload(device, host.v, "f32"),
});
const actual = await download(device, o);

const expected = referenceForward(
  pipeline,
  new Map(
    Object.entries(parameters).map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data) },
    ]),
  ),
  host,
).o.data;
const norm = Math.hypot(...expected);
const error = Math.hypot(...expected.map((value, index) => value - (actual[index] ?? Number.NaN))) / norm;
const passed = error <= TOLERANCE;
console.log(`${description}: ${statistics.schedule}, ${statistics.wallMs.toFixed(1)} ms`);
console.log(`error ${error.toExponential(1)} of at most ${TOLERANCE}: ${passed ? "passed" : "FAILED"}`);
process.exitCode = passed ? 0 : 1;

launcher.destroy();
device.destroy();
