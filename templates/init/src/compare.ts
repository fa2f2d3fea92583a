import { referenceForward } from "mtac/reference";
import { type AutoDevice, download, randomParameters, upload } from "mtac/runtime/auto";
import { createSearch, initSearchParameters, searchPipeline } from "./attention.mta";

export interface Comparison {
  /** ‖o − reference‖ / ‖reference‖ */
  readonly error: number;
  readonly tolerance: number;
  readonly milliseconds: number;
  readonly schedule: string;
}

/** What the arithmetic may cost, for each type that tensors are stored in. */
const TOLERANCES = { f32: 5e-6, f16: 2e-3, bf16: 1e-2 };

/** Runs the attention on random inputs of `length` rows and keys, and compares it with the float64 reference. */
export async function compareWithReference(device: AutoDevice, length: number): Promise<Comparison> {
  const { heads, kvHeads, headDim, valueDim, storage } = searchPipeline;
  // New convolutions are the identity; these are as trained ones could be.
  const drawn = randomParameters(searchPipeline, 1);
  const parameters = initSearchParameters(1);
  for (const [name, { data }] of Object.entries(parameters)) data.set(drawn.get(name)?.data ?? []);

  const tensor = (phase: number, count: number, dim: number) => ({
    shape: [1, count, length, dim],
    data: Float64Array.from({ length: count * length * dim }, (_, index) =>
      Math.fround(Math.sin(phase + 1.7 * index) + Math.cos(phase * index)),
    ),
  });
  const host = {
    q: tensor(1, heads, headDim),
    k: tensor(2, kvHeads, headDim),
    v: tensor(3, kvHeads, valueDim),
  };

  const launcher = await createSearch(device, parameters);
  const inputs = {
    q: upload(device, host.q, storage),
    k: upload(device, host.k, storage),
    v: upload(device, host.v, storage),
  };
  await launcher.forward(inputs); // The first call also prepares what it needs.
  const { o, statistics } = await launcher.forward(inputs);
  const actual = await download(device, o);
  launcher.destroy();

  const reference = referenceForward(
    searchPipeline,
    new Map([...drawn].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }])),
    host,
  );
  const expected = reference.o.data;
  let difference = 0;
  let norm = 0;
  expected.forEach((value, index) => {
    difference += (value - (actual[index] ?? Number.NaN)) ** 2;
    norm += value ** 2;
  });
  return {
    error: Math.sqrt(difference / norm),
    tolerance: TOLERANCES[storage],
    milliseconds: statistics.wallMs,
    schedule: statistics.schedule,
  };
}
