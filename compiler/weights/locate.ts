import { noSinglePrefix } from "./errors.ts";
import type { SourcedParameter } from "./sources.ts";

/** Tensors by their names; what they hold does not matter here. */
export type TensorNames = Pick<ReadonlyMap<string, unknown>, "has" | "keys">;

/** One attention whose parameters are looked for; `layer` is null where none is given. */
export interface Wanted {
  readonly parameters: readonly SourcedParameter[];
  readonly layer: number | null;
}

/** What stands for the layer's number in prefixes and `--map`. */
export const LAYER = "{layer}";

/** The name of a source's tensor. A source may be a whole name, which takes no prefix. */
export function tensorName(state: TensorNames, prefix: string, source: string, layer: number | null): string {
  const prefixed = prefixedName(prefix, source, layer);
  return state.has(prefixed) ? prefixed : prefixedName("", source, layer);
}

export function prefixedName(prefix: string, source: string, layer: number | null): string {
  const name = source.startsWith(prefix) ? source : prefix + source;
  return layer === null ? name : name.replaceAll(LAYER, String(layer));
}

/** Attentions that prefixes are tried on; models have a few places a layer at most, and 1024 layers. */
const MOST_TRIED = 65_536;

/**
 * What stands before the parameters' names in a state dict: for one attention that of its layer, where a layer is given, for a whole stack
 * with `{layer}` in place of the number.
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
  const known = new Set(wanted.flatMap((each) => sourceNames(each)));
  if (known.size === 0) return "";
  const found = prefixesBefore(state.keys(), known);
  if ([...known].some((name) => name.includes(LAYER))) found.add("");
  const layer = wanted[0]?.layer ?? null;
  const candidates = stack ? templates(found) : layer === null ? [...found] : ofLayer([...found], layer);
  if (candidates.length * wanted.length > MOST_TRIED)
    throw noSinglePrefix(
      `${file} holds such tensors in ${candidates.length} places: too many to compare`,
      `name the one with \`--prefix ${candidates[0] ?? ""}\``,
    );
  const scored = candidates.map((prefix) => ({ prefix, score: score(state, wanted, prefix) }));
  const most = scored.reduce((best, { score: each }) => Math.max(best, each), 0);
  const best = scored.filter((each) => each.score === most).map(({ prefix }) => prefix);
  const [only, ...others] = best;
  if (only !== undefined && others.length === 0) return only;
  const first = [...known].find((name) => !name.includes(LAYER)) ?? "";
  if (only === undefined)
    throw noSinglePrefix(
      `${file} holds no tensor named ${first}, or like another parameter${layer === null || stack ? "" : `, in layer ${layer}`}`,
      hint ??
        `name what stands before their names: \`--prefix model.layers.${stack ? LAYER : (layer ?? 0)}.attention.\`, or choose tensors with \`--map\``,
    );
  const shown = best.slice(0, 4).map((prefix) => `${prefix}${first}`);
  throw noSinglePrefix(
    `${file} holds ${best.length} sets of these parameters: ${shown.join(", ")}${best.length > 4 ? " …" : ""}`,
    `choose one with \`--layer 0\` or \`--prefix ${only}\`${stack ? "" : ", or a whole stack with `--name`"}`,
  );
}

function sourceNames({ parameters, layer }: Wanted): readonly string[] {
  return parameters.flatMap(({ sources }) =>
    sources.flatMap(({ name }) => (layer === null ? [name] : [name, name.replaceAll(LAYER, String(layer))])),
  );
}

/** Whatever stands before one of the known names, up to a dot. */
function prefixesBefore(names: Iterable<string>, known: ReadonlySet<string>): Set<string> {
  const longest = [...known].reduce((most, { length }) => Math.max(most, length), 0);
  const prefixes = new Set<string>();
  for (const name of names) {
    if (known.has(name)) prefixes.add("");
    let dot = name.indexOf(".", Math.max(0, name.length - longest - 1));
    for (; dot >= 0; dot = name.indexOf(".", dot + 1))
      if (known.has(name.slice(dot + 1))) prefixes.add(name.slice(0, dot + 1));
  }
  return prefixes;
}

/** Prefixes with one number each replaced by `{layer}`; one that has none serves names that hold the layer themselves. */
function templates(prefixes: ReadonlySet<string>): readonly string[] {
  const found = new Set<string>();
  for (const prefix of prefixes) {
    if (prefix === "") found.add("");
    for (const { index, 0: number } of prefix.matchAll(/(?<=^|\.)\d+(?=\.)/g))
      found.add(prefix.slice(0, index) + LAYER + prefix.slice(index + number.length));
  }
  return [...found];
}

/** Prefixes that name the layer; where none does, those that name no layer at all. */
function ofLayer(prefixes: readonly string[], layer: number): readonly string[] {
  const numbers = (prefix: string): readonly string[] =>
    prefix.split(".").filter((part) => /^\d+$/.test(part));
  const named = prefixes.filter((prefix) => numbers(prefix).includes(String(layer)));
  return named.length > 0 ? named : prefixes.filter((prefix) => numbers(prefix).length === 0);
}

/** How many parameters stand in the state dict with this prefix. */
function score(state: TensorNames, wanted: readonly Wanted[], prefix: string): number {
  let count = 0;
  for (const { parameters, layer } of wanted)
    for (const { sources } of parameters)
      if (sources.some(({ name }) => state.has(tensorName(state, prefix, name, layer)))) count += 1;
  return count;
}
