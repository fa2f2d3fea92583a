import { describeValue } from "./arguments.ts";
import { MtacError } from "./errors.ts";
import { isLinear, type LinearStage, type Parameter, type Pipeline } from "./pipeline.ts";
import { elementCount, type HostTensor } from "./tensor.ts";

/** f32 values of one parameter, row-major. */
export type ParameterTensor = HostTensor & { readonly data: Float32Array };

/**
 * Parameters as the spec's `init` says: an identity convolution has 1 at the tap that meets the current row, key and head; an
 * identity mix is the unit matrix. The same seed gives the same bits on every platform, and a parameter's values do not
 * depend on which others there are.
 *
 * @param seed Any number that is a 32-bit integer, or is taken modulo 2^32.
 * @throws MtacError MTA618: the pipeline is none.
 */
export function initParameters(pipeline: Pipeline, seed = 0): Map<string, ParameterTensor> {
  checkPipeline(pipeline);
  return fill(pipeline, (parameter, data) => {
    const { init } = parameter;
    switch (init.kind) {
      case "identity":
        writeIdentity(pipeline, parameter, data);
        break;
      case "zeros":
        break;
      case "ones":
        data.fill(1);
        break;
      case "normal": {
        const normal = normalGenerator(seed, parameter.name);
        for (let index = 0; index < data.length; index++) data[index] = init.std * normal();
        break;
      }
    }
  });
}

/**
 * Parameters drawn at random, whatever the spec's `init`: for tests, which an identity convolution would let pass
 * unlooked. Scaled by fan-in, so that maps and outputs stay of the order of their inputs.
 * @throws MtacError MTA618: the pipeline is none.
 */
export function randomParameters(pipeline: Pipeline, seed = 0): Map<string, ParameterTensor> {
  checkPipeline(pipeline);
  const laws = randomLaws(pipeline);
  return fill(pipeline, ({ name, shape }, data) => {
    const { mean, std } = laws.get(name) ?? { mean: 0, std: 1 / Math.sqrt(shape.at(-1) ?? 1) };
    const normal = normalGenerator(seed, name);
    for (let index = 0; index < data.length; index++) data[index] = mean + std * normal();
  });
}

function fill(
  pipeline: Pipeline,
  write: (parameter: Parameter, data: Float32Array) => void,
): Map<string, ParameterTensor> {
  const parameters = new Map<string, ParameterTensor>();
  for (const parameter of pipeline.parameters) {
    const data = new Float32Array(elementCount(parameter.shape));
    write(parameter, data);
    parameters.set(parameter.name, { shape: parameter.shape, data, storage: "f32" });
  }
  return parameters;
}

function checkPipeline(pipeline: unknown): void {
  const isPipeline = typeof pipeline === "object" && pipeline !== null && "parameters" in pipeline;
  if (isPipeline && Array.isArray(pipeline.parameters)) return;
  throw new MtacError("MTA618", "input", `a pipeline is needed, not ${describeValue(pipeline)}`, {
    remedy: "pass one of `pipelines` that `compile` gives, or the `pipeline` of an artifact's plan",
  });
}

function writeIdentity(pipeline: Pipeline, { name }: Parameter, data: Float32Array): void {
  const stage = mapStages(pipeline).find(({ weight }) => weight === name);
  switch (stage?.kind) {
    case "conv": {
      const { kernel, origin, across } = stage;
      const taps = kernel.query * kernel.key;
      const tap = origin.query * kernel.key + origin.key;
      // Weight [h, c, a, b]; head h is channel h mod across of its group.
      for (let head = 0; head * across * taps < data.length; head++) {
        data[(head * across + (head % across)) * taps + tap] = 1;
      }
      break;
    }
    case "mix": {
      const { group } = stage;
      for (let row = 0; row * group < data.length; row++) data[row * group + (row % group)] = 1;
      break;
    }
    case undefined:
      throw new RangeError(
        `the parameter ${name} cannot be an identity: no convolution or mix has it as its weight`,
      );
  }
}

function mapStages(pipeline: Pipeline): LinearStage[] {
  return [...pipeline.scores, ...pipeline.weights].filter(isLinear);
}

interface Law {
  readonly mean: number;
  readonly std: number;
}

function randomLaws(pipeline: Pipeline): Map<string, Law> {
  const laws = new Map<string, Law>();
  const add = (name: string | null, mean: number, std: number): void => {
    if (name !== null) laws.set(name, { mean, std });
  };
  for (const stage of mapStages(pipeline)) {
    switch (stage.kind) {
      case "conv":
        add(stage.weight, 0, 1 / Math.sqrt(stage.across * stage.kernel.query * stage.kernel.key));
        add(stage.bias, 0, 0.2);
        break;
      case "mix":
        add(stage.weight, 0, 1 / Math.sqrt(stage.group));
        break;
    }
  }
  for (const stage of pipeline.output) {
    switch (stage.kind) {
      case "norm":
        add(stage.weight, 1, 0.25);
        break;
      case "gate":
        add(stage.weight, 0, 1 / Math.sqrt(pipeline.valueDim));
        add(stage.bias, 0, 0.5);
        break;
    }
  }
  return laws;
}

/** Standard normal values by Marsaglia's polar method, from operations that IEEE 754 defines to the last bit. */
function normalGenerator(seed: number, name: string): () => number {
  const uniform = uniformGenerator(seed, name);
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    for (;;) {
      const x = 2 * uniform() - 1;
      const y = 2 * uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * naturalLog(square)) / square);
      spare = y * factor;
      return x * factor;
    }
  };
}

/**
 * Math.log may differ between engines in the last bit; this does not. ln(m · 2^e) = e · ln 2 + 2 · artanh((m − 1)/(m + 1)), and
 * the series of artanh is cut where its terms fall below half a unit for m in [1/√2, √2].
 */
function naturalLog(value: number): number {
  let mantissa = value;
  let exponent = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  const t = (mantissa - 1) / (mantissa + 1);
  let sum = 0;
  for (let power = 21; power >= 1; power -= 2) sum = sum * t * t + 1 / power;
  return exponent * Math.LN2 + 2 * t * sum;
}

/** sfc32 (Chris Doty-Humphrey's small fast counter generator, PractRand): values in [0, 1), multiples of 2^-32. */
function uniformGenerator(seed: number, name: string): () => number {
  let a = seed >>> 0;
  let b = fnv1a(name);
  let c = 0x9e3779b9;
  let counter = 1;
  const next = (): number => {
    const output = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + output) >>> 0;
    return output;
  };
  // The state is thin at first; the author runs 15 rounds after seeding.
  for (let round = 0; round < 15; round++) next();
  return () => next() / 2 ** 32;
}

/** FNV-1a, 32 bits (RFC 9923), over UTF-16 code units. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
