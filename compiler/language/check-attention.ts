import type { MaskTerm } from "../../runtime/contract/index.ts";
import type { Attention } from "./attention.ts";
import type { CheckContext } from "./check-context.ts";
import { checkOutput, checkScores, checkWeights } from "./check-sections.ts";
import type { Inherited, Owned } from "./inherit.ts";
import { RANGES } from "./ranges.ts";
import type { Choice, MaskNode, NumberProperty, PropertyNode } from "./tree.ts";

/** A value, or why there is none: it was not written, or it is wrong (and reported). */
type Found<T> = { readonly state: "absent" | "wrong" } | { readonly state: "value"; readonly value: T };

const ABSENT = { state: "absent" } as const;
const WRONG = { state: "wrong" } as const;

function found<T>(value: T | null): Found<T> {
  return value === null ? WRONG : { state: "value", value };
}

function present<T>(result: Found<T>): T | null {
  return result.state === "value" ? result.value : null;
}

function withDefault<T>(result: Found<T>, fallback: T | null): T | null {
  return result.state === "absent" ? fallback : present(result);
}

/** Checks an attention with all that it inherits, and fills in the defaults. Null when anything is wrong with it. */
export function checkAttention(source: Inherited, context: CheckContext): Attention | null {
  const heads = present(required(source, "heads", "heads 16", context));
  const kvHeads = withDefault(numberProperty(source, "kv_heads", context), heads);
  const headDim = present(required(source, "head_dim", "head_dim 64", context));
  const valueDim = withDefault(numberProperty(source, "value_dim", context), headDim);
  const scale = checkScale(source, headDim, context);
  const mask = checkMask(source, context);
  const dtype = chosen(property(source, "dtype")?.node.value, "f32");
  const normalize = chosen(property(source, "normalize")?.node.value, "softmax");
  const grouped = checkKvHeads(source, heads, kvHeads, context);
  const causal = mask?.some((term) => term.kind === "causal") ?? false;
  const scores = checkScores(source, { heads, causal }, context);
  const weights = checkWeights(source, { heads, causal }, context);
  const output = checkOutput(source, { heads, causal }, context);
  const { name, span } = source.node;
  if (name.kind === "invalid" || source.incomplete) return null;
  if (heads === null || kvHeads === null || headDim === null || valueDim === null || scale === null)
    return null;
  if (!grouped || mask === null || dtype === null || normalize === null) return null;
  if (scores === null || weights === null || output === null) return null;
  return {
    name: name.text,
    heads,
    kvHeads,
    headDim,
    valueDim,
    scale,
    dtype,
    mask,
    normalize,
    scores,
    weights,
    output,
    span,
  };
}

type PropertyOf<K extends PropertyNode["property"]> = Extract<PropertyNode, { property: K }>;

function isProperty<K extends PropertyNode["property"]>(
  node: PropertyNode,
  property: K,
): node is PropertyOf<K> {
  return node.property === property;
}

function property<K extends Exclude<PropertyNode["property"], NumberProperty>>(
  source: Inherited,
  name: K,
): Owned<PropertyOf<K>> | null {
  const entry = source.properties.get(name);
  if (entry === undefined) return null;
  const { node, owner } = entry;
  return isProperty(node, name) ? { node, owner } : null;
}

function numberProperty(source: Inherited, name: NumberProperty, context: CheckContext): Found<number> {
  const node = source.properties.get(name)?.node;
  if (node === undefined || !("value" in node) || node.property !== name) return ABSENT;
  const range = name === "heads" || name === "kv_heads" ? RANGES.heads : RANGES.headSize;
  return found(context.evaluator.number(node.value, `\`${name}\``, range));
}

function required(
  source: Inherited,
  name: NumberProperty,
  example: string,
  context: CheckContext,
): Found<number> {
  const result = numberProperty(source, name, context);
  // What the base lacks is reported there.
  if (result.state !== "absent" || source.node.base !== null || source.node.damaged) return result;
  const { span } = source.node.name;
  context.report("MTA213", source.node, span, `attention \`${context.name}\` lacks \`${name}\``, {
    fix: { message: `add, for example, \`${example}\`` },
  });
  return WRONG;
}

function checkKvHeads(
  source: Inherited,
  heads: number | null,
  kvHeads: number | null,
  context: CheckContext,
): boolean {
  if (heads === null || kvHeads === null || heads % kvHeads === 0) return true;
  const kv = source.properties.get("kv_heads");
  const own = [kv, source.properties.get("heads")].find((entry) => entry?.owner === source.node);
  const place = own ?? kv;
  if (place === undefined) return false;
  context.report(
    "MTA303",
    place.owner,
    place.node.span,
    `\`kv_heads\` ${kvHeads} does not divide \`heads\` ${heads}`,
    {
      expected: "every key/value head to serve equally many query heads",
    },
  );
  return false;
}

function checkScale(source: Inherited, headDim: number | null, context: CheckContext): number | null {
  const node = property(source, "scale")?.node;
  if (node === undefined || node.value.kind === "rsqrt")
    return headDim === null ? null : 1 / Math.sqrt(headDim);
  return context.evaluator.number(node.value, "`scale`", RANGES.scale);
}

/** The word chosen, or the default where none was written. */
function chosen<T extends string>(value: Choice<T> | undefined, fallback: T): T | null {
  if (value === undefined) return fallback;
  return value.kind === "choice" ? value.value : null;
}

function checkMask(source: Inherited, context: CheckContext): MaskTerm[] | null {
  const entry = property(source, "mask");
  if (entry === null) return [{ kind: "causal" }];
  const terms: MaskTerm[] = [];
  const seen = new Set<string>();
  let right = true;
  for (const term of entry.node.terms) {
    if (term.kind === "invalid") right = false;
    else if (seen.has(term.kind)) {
      right = false;
      context.report("MTA218", entry.owner, term.span, `the mask term \`${term.kind}\` is given twice`);
    } else {
      seen.add(term.kind);
      right = addTerm(term, terms, context) && right;
    }
  }
  const none = entry.node.terms.find((term) => term.kind === "none");
  if (none === undefined || entry.node.terms.length === 1) return right ? terms : null;
  context.report("MTA219", entry.owner, none.span, "`none` stands beside other mask terms", {
    expected: "`mask none` alone, or other terms without `none`",
  });
  return null;
}

function addTerm(
  term: Exclude<MaskNode, { kind: "invalid" }>,
  terms: MaskTerm[],
  context: CheckContext,
): boolean {
  switch (term.kind) {
    case "none":
      return true;
    case "window": {
      const size = context.evaluator.number(term.size, "`window`", RANGES.window);
      if (size !== null) terms.push({ kind: "window", size });
      return size !== null;
    }
    case "causal":
    case "documents":
    case "lengths":
    case "bias":
      terms.push({ kind: term.kind });
      return true;
  }
}
