import { referenceForward } from "mtac/reference";
import { type AutoDevice, download, randomParameters, upload } from "mtac/runtime/auto";
import { randomTensor } from "./inputs.ts";
import { createMtaToy, initMtaToyParameters, type MtaToyLauncher, mtaToyPipeline } from "./spec.mta";

/** Rows and keys of the call. */
export const LENGTH = 48;

export interface Outcome {
  /** The last row's first values, of head 0. */
  readonly values: readonly number[];
  /** ‖o − reference‖ / ‖reference‖ */
  readonly error: number;
  readonly schedule: string;
  readonly milliseconds: number;
}

/** A launcher with parameters as trained ones could be: a new convolution is the identity, which would show little. */
export function makeLauncher(device: AutoDevice): Promise<MtaToyLauncher> {
  const drawn = randomParameters(mtaToyPipeline, 1);
  const parameters = initMtaToyParameters(1);
  for (const [name, { data }] of Object.entries(parameters)) data.set(drawn.get(name)?.data ?? []);
  return createMtaToy(device, parameters);
}

/** Runs the attention, and the float64 reference on the same numbers. */
export async function attend(device: AutoDevice, attention: MtaToyLauncher): Promise<Outcome> {
  const { heads, kvHeads, headDim, valueDim, storage } = mtaToyPipeline;
  const host = {
    q: randomTensor(1, [1, heads, LENGTH, headDim]),
    k: randomTensor(2, [1, kvHeads, LENGTH, headDim]),
    v: randomTensor(3, [1, kvHeads, LENGTH, valueDim]),
  };
  const inputs = {
    q: upload(device, host.q, storage),
    k: upload(device, host.k, storage),
    v: upload(device, host.v, storage),
  };
  // The first call also compiles kernels.
  await attention.forward(inputs);
  const { o, lse, statistics } = await attention.forward(inputs);
  const actual = await download(device, o);
  for (const tensor of [...Object.values(inputs), o, lse]) tensor?.destroy();

  const parameters = new Map(
    [...attention.launcher.parameters].map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data) },
    ]),
  );
  const expected = referenceForward(mtaToyPipeline, parameters, host).o.data;
  let difference = 0;
  let norm = 0;
  expected.forEach((value, index) => {
    difference += (value - (actual[index] ?? Number.NaN)) ** 2;
    norm += value ** 2;
  });
  const last = (LENGTH - 1) * valueDim;
  return {
    values: [...actual.subarray(last, last + 4)],
    error: Math.sqrt(difference / norm),
    schedule: statistics.schedule,
    milliseconds: statistics.wallMs,
  };
}
