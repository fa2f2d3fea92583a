import { referenceForward } from "mtac/reference";
import { readParameters } from "mtac/runtime";
import { type AutoDevice, download, type Pipeline, upload } from "mtac/runtime/auto";
import {
  createMta,
  createPlain,
  initMtaParameters,
  initPlainParameters,
  type MtaLauncher,
  mtaPipeline,
  plainPipeline,
} from "../../pytorch/attention.mta";
import {
  type AttentionRows,
  logitsOf,
  type Matrix,
  readWeights,
  SHAPE,
  type Tensor,
  type Weights,
} from "./decoder.ts";
import { labelOf, TASK, tokensOf } from "./text.ts";

/** The attentions that were trained. */
export const KINDS = ["mta", "plain"] as const;
export type Kind = (typeof KINDS)[number];

/** What a model finds. */
export interface Answer {
  /** The letters that it wrote. */
  readonly letters: string;
  /** Of these letters and of what it would write next, a row each. */
  readonly logits: Matrix;
  /** Rows and keys of the maps: the text that was read, and the answer. */
  readonly labels: readonly string[];
  /** The row that wrote the first letter. */
  readonly asking: number;
  readonly layers: readonly AttentionRows[];
}

/** The maps of a head, [rows, keys] each, in the order of the stages: `scores`, `scores.conv`, `softmax`. */
export type Maps = ReadonlyMap<string, Float64Array>;

/** A layer's attention on a device. */
interface Layer {
  readonly compute: (rows: AttentionRows) => Promise<Float32Array>;
  readonly parameters: ReadonlyMap<string, Tensor<Float64Array>>;
}

/** A trained model whose attentions run on a device. */
export class Finder {
  readonly kind: Kind;
  readonly #weights: Weights;
  readonly #layers: readonly Layer[];

  private constructor(kind: Kind, weights: Weights, layers: readonly Layer[]) {
    this.kind = kind;
    this.#weights = weights;
    this.#layers = layers;
  }

  /**
   * Fetches the weights of a model and makes a launcher for each of its layers.
   * @throws MtacError where the file or the device is not what it should be
   */
  static async open(device: AutoDevice, kind: Kind): Promise<Finder> {
    const file = `${kind}.safetensors`;
    const response = await fetch(new URL(file, document.baseURI));
    if (!response.ok)
      throw new Error(`${file} could not be loaded: ${response.status} ${response.statusText}`);
    const bytes = await response.arrayBuffer();
    const weights = readWeights(bytes, file);
    const layers: Layer[] = [];
    for (let layer = 0; layer < SHAPE.layers; layer++)
      layers.push(await openLayer(device, kind, bytes, layer));
    return new Finder(kind, weights, layers);
  }

  /** Reads a text and writes the block that it asks for, a letter at a time. */
  async answer(text: string): Promise<Answer> {
    const prompt = tokensOf(text);
    const tokens = [...prompt];
    for (;;) {
      const layers: AttentionRows[] = [];
      const { columns, data } = await logitsOf(this.#weights, tokens, async (layer, rows) => {
        const own = this.#layers[layer];
        if (own === undefined) throw new RangeError(`there is no layer ${layer}`);
        layers[layer] = rows;
        return own.compute(rows);
      });
      if (tokens.length === prompt.length + TASK.letters) {
        const labels = tokens.map(labelOf);
        const logits = { columns, data: data.slice((prompt.length - 1) * columns) };
        return {
          letters: labels.slice(prompt.length).join(""),
          logits,
          labels,
          asking: prompt.length - 1,
          layers,
        };
      }
      tokens.push(largest(data.subarray(-columns)));
    }
  }

  /** A head's maps in a layer, by the float64 reference: kernels never hold a map as a whole. */
  maps({ layers, labels }: Pick<Answer, "layers" | "labels">, layer: number, head: number): Maps {
    const rows = layers[layer];
    const own = this.#layers[layer];
    if (rows === undefined || own === undefined) throw new RangeError(`there is no layer ${layer}`);
    const size = labels.length ** 2;
    const maps = new Map<string, Float64Array>();
    const tensor = (data: Float32Array): Tensor<Float64Array> => ({
      shape: shapeOf(data),
      data: Float64Array.from(data),
    });
    const inputs = { q: tensor(rows.q), k: tensor(rows.k), v: tensor(rows.v) };
    referenceForward(pipelineOf(this.kind), own.parameters, inputs, {
      trace: (name, _entry, { data, shape }) => {
        // What comes after the product with v is no map.
        if (shape.at(-1) === labels.length && name !== "product")
          maps.set(name, data.slice(head * size, (head + 1) * size));
      },
    });
    return maps;
  }
}

export function pipelineOf(kind: Kind): Pipeline {
  return kind === "mta" ? mtaPipeline : plainPipeline;
}

async function openLayer(device: AutoDevice, kind: Kind, bytes: ArrayBuffer, layer: number): Promise<Layer> {
  const from = { prefix: `blocks.${layer}.attention.`, file: `${kind}.safetensors` };
  if (kind === "plain") {
    const parameters = readParameters(bytes, initPlainParameters(), from);
    return layerOf(device, await createPlain(device, parameters), parameters);
  }
  const parameters = readParameters(bytes, initMtaParameters(0), from);
  return layerOf(device, await createMta(device, parameters), parameters);
}

/** Calls of both attentions look alike. */
function layerOf(device: AutoDevice, launcher: Pick<MtaLauncher, "forward">, parameters: object): Layer {
  const put = (data: Float32Array) => upload(device, { shape: shapeOf(data), data }, "f32");
  const given: Readonly<Record<string, Tensor<Float32Array>>> = Object.fromEntries(
    Object.entries(parameters),
  );
  return {
    parameters: new Map(
      Object.entries(given).map(([name, { shape, data }]) => [
        name,
        { shape, data: Float64Array.from(data) },
      ]),
    ),
    compute: async (rows) => {
      const inputs = { q: put(rows.q), k: put(rows.k), v: put(rows.v) };
      const { o, lse } = await launcher.forward(inputs);
      const result = Float32Array.from(await download(device, o));
      for (const tensor of [...Object.values(inputs), o, lse]) tensor.destroy();
      return result;
    },
  };
}

/** [batch, heads, rows, channels of a head] of one sequence. */
function shapeOf({ length }: Float32Array): readonly [number, 2, number, 32] {
  return [1, 2, length / SHAPE.dim, 32];
}

function largest(values: Float32Array): number {
  return values.indexOf(values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY));
}
