import { basename, extname } from "node:path";
import type { Attention, CheckedSpec, Stack } from "../../language/attention.ts";
import { layerProblem, nameNeeded, unknownName } from "../errors.ts";

export interface AttentionChoice {
  readonly attention: Attention;
  /** The layer to compute, where one is given. */
  readonly layer: number | undefined;
}

/** What `--name` and `--layer` may ask for. */
export interface ChoiceRequest {
  readonly name?: string | undefined;
  readonly layer?: number | undefined;
}

/**
 * The attention that a command computes: the one named, or the one named like the file, or the only one. The name of a
 * stack, with a layer, stands for that layer's attention.
 * @throws MtacError MTA909 … MTA911
 */
export function chooseAttention(spec: CheckedSpec, request: ChoiceRequest): AttentionChoice {
  const { name, layer } = request;
  if (name === undefined) return { attention: impliedAttention(spec), layer };
  const attention = spec.attentions.find((each) => each.name === name);
  if (attention !== undefined) return { attention, layer };
  const stack = chooseStack(spec, name);
  if (stack === null) throw unknownName(spec.file, name, declaredNames(spec));
  return { attention: attentionOfLayer(spec, stack, layer), layer };
}

/**
 * The attentions that a command shows or emits: all, the one named, or those of the stack named (of one layer of it).
 * @throws MtacError MTA909 … MTA911
 */
export function chooseAttentions(spec: CheckedSpec, request: ChoiceRequest): readonly Attention[] {
  const { name, layer } = request;
  if (spec.attentions.length === 0) throw nameNeeded(spec.file, []);
  if (name === undefined && layer === undefined) return spec.attentions;
  const stack = chooseStack(spec, name);
  if (stack === null || layer !== undefined) return [chooseAttention(spec, request).attention];
  return spec.attentions.filter((each) => stack.attentions.includes(each.name));
}

/** The stack of a name, or null where the name is not a stack's. */
export function chooseStack(spec: CheckedSpec, name: string | undefined): Stack | null {
  return spec.stacks.find((each) => each.name === name) ?? null;
}

function impliedAttention(spec: CheckedSpec): Attention {
  const stem = basename(spec.file, extname(spec.file));
  const named = spec.attentions.find((each) => each.name === stem);
  const [first, ...others] = spec.attentions;
  const chosen = named ?? (others.length === 0 ? first : undefined);
  if (chosen === undefined) throw nameNeeded(spec.file, declaredNames(spec));
  return chosen;
}

function attentionOfLayer(spec: CheckedSpec, stack: Stack, layer: number | undefined): Attention {
  const last = stack.layers - 1;
  if (layer === undefined)
    throw layerProblem(
      `\`${stack.name}\` is a stack of ${stack.layers} layers`,
      `choose one with \`--layer 0\` … \`--layer ${last}\``,
    );
  const name = stack.attentions[layer];
  const attention = spec.attentions.find((each) => each.name === name);
  if (attention === undefined)
    throw layerProblem(`\`${stack.name}\` has no layer ${layer}`, `its layers are 0 … ${last}`);
  return attention;
}

function declaredNames(spec: CheckedSpec): readonly string[] {
  return [...spec.attentions, ...spec.stacks].map((each) => each.name);
}
