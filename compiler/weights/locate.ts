import { noSinglePrefix } from "./errors.ts";
import type { Source, SourcedParameter } from "./sources.ts";

/** Tensors by their names; what they hold does not matter here. */
export type TensorNames = Pick<ReadonlyMap<string, unknown>, "has" | "keys">;

/** One attention whose parameters are looked for; `layer` is null where none is given. */
export interface Wanted {
  readonly parameters: readonly SourcedParameter[];
  readonly layer: number | null;
}

/** What stands for the layer's number in prefixes and `--map`. */
export const LAYER = "{layer}";

/** The name of a source's tensor: where the state dict has it, else where it was looked for. */
export function tensorName(
  state: TensorNames,
  prefix: string,
  { name, whole }: Pick<Source, "name" | "whole">,
  layer: number | null,
): string {
  const prefixed = atLayer(prefix + name, layer);
  return whole && !state.has(prefixed) ? atLayer(name, layer) : prefixed;
}

function atLayer(text: string, layer: number | null): string {
  return layer === null ? text : text.replaceAll(LAYER, String(layer));
}

/**
 * What stands before the parameters' names in a state dict: for one attention that of its layer, where a layer is given, for a whole stack
 * with `{layer}` in place of the number. It is the one with which most parameters are there.
 * @param hint The remedy where there is none of these tensors at all, if it is known.
 * @throws MtacError MTA946: there is none, or several would do.
 */
export function findPrefix(
  file: string,
  state: TensorNames,
  wanted: readonly Wanted[],
  stack: boolean,
  hint: string | null,
): string {
  const index = indexOf(wanted);
  if (index.byName.size === 0) return "";
  const layer = wanted[0]?.layer ?? null;
  const found = stack ? inStack(state.keys(), index) : inAttention(state.keys(), index, layer);
  const most = Math.max(0, ...[...new Set([...found.values()].map(({ size }) => size))]);
  const best = [...found].filter(([, { size }]) => size === most).map(([prefix]) => prefix);
  const [only, ...others] = best;
  if (only !== undefined && others.length === 0) return only;
  const { first } = index;
  if (only === undefined)
    throw noSinglePrefix(
      `${file} holds no tensor named ${first}, or like another parameter${layer === null || stack ? "" : `, in layer ${layer}`}`,
      hint ??
        `name what stands before their names: \`--prefix model.layers.${stack ? LAYER : (layer ?? 0)}.attention.\`, or choose tensors with \`--map\``,
    );
  const shown = best.slice(0, 4).map((prefix) => `${prefix}${first}`);
  throw noSinglePrefix(
    `${file} holds ${best.length} sets of these parameters: ${shown.join(", ")}${best.length > 4 ? " …" : ""}`,
    stack
      ? `choose one with \`--prefix ${only}\``
      : `choose one with \`--layer 0\` or \`--prefix ${only}\`, or a whole stack with \`--name\``,
  );
}

/** Which parameters of which layer a name stands for. */
interface SourceIndex {
  readonly byName: ReadonlyMap<string, ReadonlyMap<number | null, SourceEntry>>;
  /** The longest name's length. */
  readonly longest: number;
  /** One of the names, for messages. */
  readonly first: string;
}

interface SourceEntry {
  readonly parameter: string;
  readonly whole: boolean;
}

function indexOf(wanted: readonly Wanted[]): SourceIndex {
  const byName = new Map<string, Map<number | null, SourceEntry>>();
  let longest = 0;
  for (const { parameters, layer } of wanted)
    for (const { parameter, sources } of parameters)
      for (const source of sources) {
        const name = atLayer(source.name, layer);
        const entries = byName.get(name) ?? new Map<number | null, SourceEntry>();
        byName.set(name, entries.set(layer, { parameter: parameter.name, whole: source.whole }));
        longest = Math.max(longest, name.length);
      }
  return { byName, longest, first: byName.keys().next().value ?? "" };
}

/** By prefix: the parameters that are there. */
type Found = Map<string, Set<string>>;

function credit(found: Found, prefix: string, layer: number | null, { parameter }: SourceEntry): void {
  const parameters = found.get(prefix) ?? new Set<string>();
  found.set(prefix, parameters.add(`${layer} ${parameter}`));
}

/** Every way to cut a name, at a dot, into a prefix and the name of a source. */
function* cuts(
  names: Iterable<string>,
  { byName, longest }: SourceIndex,
): Generator<readonly [prefix: string, entries: ReadonlyMap<number | null, SourceEntry>]> {
  for (const name of names)
    for (let start = name.length <= longest ? 0 : afterDot(name, name.length - longest - 1); ; ) {
      const entries = byName.get(name.slice(start));
      if (entries !== undefined) yield [name.slice(0, start), entries];
      const next = afterDot(name, start);
      if (next <= start) break;
      start = next;
    }
}

/** The place after the first dot from a place on, or 0. */
function afterDot(name: string, from: number): number {
  return name.indexOf(".", from) + 1;
}

/** Prefixes of one attention: those that name its layer; where none does, those that name no layer at all. */
function inAttention(names: Iterable<string>, index: SourceIndex, layer: number | null): Found {
  const found: Found = new Map();
  for (const [prefix, entries] of cuts(names, index))
    for (const [each, entry] of entries) credit(found, prefix, each, entry);
  if (layer === null) return found;
  const numbers = (prefix: string): readonly string[] =>
    prefix.split(".").filter((part) => /^\d+$/.test(part));
  const named = [...found].filter(([prefix]) => numbers(prefix).includes(String(layer)));
  return new Map(named.length > 0 ? named : [...found].filter(([prefix]) => numbers(prefix).length === 0));
}

/** Numbers in a prefix that may be the layer's. */
const MOST_NUMBERS = 4;

/** Prefixes of a stack, each with one number replaced by `{layer}`; those that have none serve whole names. */
function inStack(names: Iterable<string>, index: SourceIndex): Found {
  const found: Found = new Map();
  for (const [prefix, entries] of cuts(names, index)) {
    if (prefix === "")
      for (const [layer, entry] of entries) if (entry.whole) credit(found, prefix, layer, entry);
    for (const { index: at, 0: number } of [...prefix.matchAll(/(?<=^|\.)\d+(?=\.)/g)].slice(
      0,
      MOST_NUMBERS,
    )) {
      const entry = entries.get(Number(number));
      const template = prefix.slice(0, at) + LAYER + prefix.slice(at + number.length);
      if (entry !== undefined) credit(found, template, Number(number), entry);
    }
  }
  return found;
}
