import { randomCall } from "../../../../compiler/execution/random-call.ts";
import { referenceTensors } from "../../../../compiler/execution/reference-results.ts";
import { type Float64Tensor, type Pipeline, usesLayer } from "../../../../runtime/contract/index.ts";
import { initParameters } from "../../../../runtime/contract/init.ts";
import { isVisible, type Sight, type Trace } from "../../../../runtime/reference/index.ts";
import { MAP_BATCH, type MapsReply, type MapsRequest, type RowGradients, type StageMap } from "./protocol.ts";

/** The maps of all heads of one batch entry, [H, L, L] each, and their gradients, from the last to the first. */
interface EntryMaps {
  readonly sight: Sight;
  readonly maps: StageMap[];
  readonly gradients: StageMap[];
}

interface Computed {
  readonly entries: readonly EntryMaps[];
  /** [B, heads or key heads, L, channels] by name; empty without gradients. */
  readonly tensors: ReadonlyMap<string, Float64Tensor>;
}

/** What was computed last: another head of it costs nothing. */
let latest: ({ readonly key: string } & Computed) | null = null;

/**
 * One head's attention maps before and after each stage, from the float64 reference on random inputs.
 * @throws MtacError MTA601 … MTA613 when the shape does not fit the attention
 */
export function mapsOf({ batch, head, ...request }: MapsRequest): MapsReply {
  const key = JSON.stringify(request);
  if (latest?.key !== key) latest = { key, ...computeMaps(request) };
  const { length, pipeline } = request;
  const { tensors } = latest;
  const entry = latest.entries[batch];
  if (entry === undefined) throw new RangeError(`there is no batch entry ${batch}`);
  const ofHead = (maps: readonly StageMap[]): StageMap[] =>
    maps.map(({ name, values }) => ({ name, values: partOf(values, head, length * length) }));
  return {
    length,
    visible: Uint8Array.from({ length: length * length }, (_, index) =>
      isVisible(entry.sight, head, Math.floor(index / length), index % length) ? 1 : 0,
    ),
    maps: ofHead(entry.maps),
    gradients: request.gradients
      ? { maps: ofHead(entry.gradients).reverse(), rows: rowsOf(tensors, pipeline, batch, head) }
      : null,
  };
}

function partOf(values: Float64Array, index: number, size: number): Float64Array {
  return values.slice(index * size, (index + 1) * size);
}

/** The gradients of a head's rows of q, and of the keys and values that it shares. */
function rowsOf(
  tensors: ReadonlyMap<string, Float64Tensor>,
  { heads, kvHeads }: Pipeline,
  batch: number,
  head: number,
): readonly RowGradients[] {
  return (["d_q", "d_k", "d_v"] as const).flatMap((name) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) return [];
    const [, count = 1, rows = 1, channels = 1] = tensor.shape;
    const own = name === "d_q" ? head : Math.floor(head / (heads / kvHeads));
    return [{ name, channels, values: partOf(tensor.data, batch * count + own, rows * channels) }];
  });
}

function computeMaps(request: Omit<MapsRequest, "batch" | "head">): Computed {
  const { pipeline, length, seed, gradients } = request;
  const shape = { B: MAP_BATCH, Lq: length, Lk: length, R: 0 };
  const layer = usesLayer(pipeline) ? 0 : undefined;
  const call = randomCall(pipeline, shape, { seed, layer, grad: gradients });
  const parameters = request.parameters === "random" ? call.parameters : initialParameters(request);
  const entries: EntryMaps[] = [];
  const into =
    (which: "maps" | "gradients"): Trace =>
    (name, batch, { data, shape: [, , width] }, sight) => {
      // What comes after the product with v is no map.
      if (name === "product" || name.startsWith("output.") || width !== length) return;
      entries[batch] ??= { sight, maps: [], gradients: [] };
      entries[batch][which].push({ name, values: data });
    };
  const traces = { trace: into("maps"), gradientTrace: into("gradients") };
  const tensors = referenceTensors(pipeline, { ...call, parameters }, traces);
  return { entries, tensors };
}

function initialParameters({
  pipeline,
  seed,
}: Pick<MapsRequest, "pipeline" | "seed">): ReadonlyMap<string, Float64Tensor> {
  return new Map(
    [...initParameters(pipeline, seed)].map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data) },
    ]),
  );
}
