import type { Layout } from "./layouts.ts";
import { LAYER, tensorName } from "./locate.ts";
import { type AttentionSlot, targetOf } from "./sources.ts";
import { type StateDict, stateNames } from "./state.ts";

/** A tensor that is none of the parameters. */
export interface LeftTensor {
  readonly name: string;
  /** Why it is worth a look; null for a tensor that has nothing to do with the attention. */
  readonly reason: string | null;
}

/** All tensors that no parameter was made of; those that the layout knows, and the attention has no use for, say so. */
export function leftTensors(
  state: StateDict,
  slots: readonly AttentionSlot[],
  layout: Layout | null,
  prefix: string,
  used: ReadonlySet<string>,
): readonly LeftTensor[] {
  const names = stateNames(state);
  const reasons = new Map<string, string>();
  for (const { pipeline, layer } of slots)
    for (const rule of layout?.rules ?? []) {
      const name = tensorName(names, prefix, { name: rule.from, whole: false }, layer);
      const unknown = targetOf(pipeline, rule) === null;
      const problem = unknown
        ? `\`${pipeline.name}\` has no ${rule.stage} in ${rule.section}`
        : "`--map` takes another tensor";
      reasons.set(name, problem);
    }
  const beyond = beyondStack(prefix, slots.length);
  return [...names.keys()]
    .filter((name) => !used.has(name))
    .map((name) => ({ name, reason: reasons.get(name) ?? beyond(name) }));
}

/** Tells of tensors of layers that a stack does not have. */
function beyondStack(prefix: string, layers: number): (name: string) => string | null {
  const [before = "", after] = prefix.split(LAYER);
  if (after === undefined) return () => null;
  return (name) => {
    const [number] = name.startsWith(before) ? (/^\d+(?=\.|$)/.exec(name.slice(before.length)) ?? []) : [];
    if (number === undefined || !name.startsWith(after, before.length + number.length)) return null;
    return Number(number) < layers ? null : `the stack has ${layers} layers`;
  };
}
