import { randomCall } from "../../../../compiler/execution/random-call.ts";
import { type Float64Tensor, usesLayer } from "../../../../runtime/contract/index.ts";
import { initParameters } from "../../../../runtime/contract/init.ts";
import { isVisible, referenceForward, type Sight } from "../../../../runtime/reference/index.ts";
import { MAP_BATCH, type MapsReply, type MapsRequest } from "./protocol.ts";

/** The maps of all heads of one batch entry, [H, L, L] each. */
interface EntryMaps {
  readonly sight: Sight;
  readonly maps: { readonly name: string; readonly values: Float64Array }[];
}

/** What was computed last: another head of it costs nothing. */
let latest: { readonly key: string; readonly entries: readonly EntryMaps[] } | null = null;

/**
 * One head's attention maps before and after each stage, from the float64 reference on random inputs.
 * @throws MtacError MTA601 … MTA613 when the shape does not fit the attention
 */
export function mapsOf({ batch, head, ...request }: MapsRequest): MapsReply {
  const key = JSON.stringify(request);
  if (latest?.key !== key) latest = { key, entries: computeMaps(request) };
  const { length } = request;
  const entry = latest.entries[batch];
  if (entry === undefined) throw new RangeError(`there is no batch entry ${batch}`);
  const start = head * length * length;
  return {
    length,
    visible: Uint8Array.from({ length: length * length }, (_, index) =>
      isVisible(entry.sight, head, Math.floor(index / length), index % length) ? 1 : 0,
    ),
    maps: entry.maps.map(({ name, values }) => ({
      name,
      values: values.slice(start, start + length * length),
    })),
  };
}

function computeMaps(request: Omit<MapsRequest, "batch" | "head">): readonly EntryMaps[] {
  const { pipeline, length, seed } = request;
  const shape = { B: MAP_BATCH, Lq: length, Lk: length, R: 0 };
  const layer = usesLayer(pipeline) ? 0 : undefined;
  const call = randomCall(pipeline, shape, { seed, layer, grad: false });
  const parameters = request.parameters === "random" ? call.parameters : initialParameters(request);
  const entries: EntryMaps[] = [];
  referenceForward(pipeline, parameters, call.inputs, {
    trace: (name, batch, { data, shape: [, , width] }, sight) => {
      // What comes after the product with v is no map.
      if (name === "product" || name.startsWith("output.") || width !== length) return;
      entries[batch] ??= { sight, maps: [] };
      entries[batch].maps.push({ name, values: data });
    },
  });
  return entries;
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
