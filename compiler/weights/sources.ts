import type { Parameter, Pipeline } from "../../runtime/contract/index.ts";
import type { Layout, LayoutRule } from "./layouts.ts";
import type { Renaming } from "./renaming.ts";

/** One attention of what is wanted: `layer` is null where none is given, `target` stands before its parameters in the result. */
export interface AttentionSlot {
  readonly pipeline: Pipeline;
  readonly layer: number | null;
  readonly target: string;
}

/** A name under which a parameter's values may stand in a state dict. */
export interface Source {
  /** `{layer}` stands for the layer's number. */
  readonly name: string;
  /** It may be the whole name, without a prefix before it. */
  readonly whole: boolean;
  readonly transpose: boolean;
}

/** A parameter with all names under which it may stand. */
export interface SourcedParameter {
  readonly parameter: Parameter;
  readonly sources: readonly Source[];
}

/**
 * Where to look for each parameter of an attention: where a renaming says, else under the layout's names and its own.
 */
export function sourcesOf(
  pipeline: Pipeline,
  layout: Layout | null,
  renamings: readonly Renaming[],
): readonly SourcedParameter[] {
  const byTarget = new Map<string, Source[]>();
  const add = (target: string, source: Source): void => {
    byTarget.set(target, [...(byTarget.get(target) ?? []), source]);
  };
  for (const rule of layout?.rules ?? []) {
    const target = targetOf(pipeline, rule);
    if (target !== null) add(target, { name: rule.from, whole: false, transpose: rule.transpose });
  }
  return pipeline.parameters.map((parameter) => {
    const { name } = parameter;
    const renamed = renamings.filter(({ to }) => to === name);
    if (renamed.length > 0)
      return {
        parameter,
        sources: renamed.map(({ from, transpose }) => ({ name: from, whole: true, transpose })),
      };
    const own = { name, whole: false, transpose: false };
    const others = (byTarget.get(name) ?? []).filter((source) => source.name !== name);
    return { parameter, sources: [...others, own] };
  });
}

/** The parameter that a layout's tensor is, or null where the attention has no such stage. */
export function targetOf(pipeline: Pipeline, { section, stage, parameter }: LayoutRule): string | null {
  const name = pipeline[section].find(({ kind }) => kind === stage)?.name;
  return pipeline.parameters.find((each) => each.name === `${name}.${parameter}`)?.name ?? null;
}

/** Stages that the attention applies in another order than the layout does: their section, or none. */
export function reorderedSections(pipeline: Pipeline, { rules }: Layout): readonly string[] {
  return (["scores", "weights", "output"] as const).filter((section) => {
    const order: readonly string[] = rules
      .filter((rule) => rule.section === section)
      .map(({ stage }) => stage);
    const ranks = pipeline[section].map(({ kind }) => order.indexOf(kind)).filter((rank) => rank >= 0);
    return ranks.some((rank, index) => rank < (ranks[index - 1] ?? 0));
  });
}
