import {
  type ConvStage,
  convReach,
  type LinearStage,
  type Pipeline,
  type Plan,
  type StageIndex,
} from "../../../runtime/contract/index.ts";

/** A stage's name in functions: `scores_conv`; in capitals the beginning of its constants' names. */
export function stageName(stage: LinearStage): string {
  return stage.name.replaceAll(".", "_");
}

/** The line of the spec that a stage comes from: templates mark its code with it. */
export function sourceLine({ source }: Pick<ConvStage, "source">): number | null {
  return source?.line ?? null;
}

/** A stage's name and its line of the spec. */
export function stageLabel({ name, source }: Pick<ConvStage, "name" | "source">): string {
  return source === null ? name : `${name} (line ${source.line})`;
}

/** A stage in the words of the spec. */
export function describe(stage: LinearStage): string {
  if (stage.kind === "mix") return `${stageLabel(stage)}, mix ${stage.group}`;
  const { kernel, dilation } = stage;
  const dilated = dilation.query > 1 || dilation.key > 1;
  return [
    stageLabel(stage),
    `conv ${kernel.query}x${kernel.key}`,
    ...(stage.across === 1 ? [] : [`across ${stage.across}`]),
    ...(dilated ? [`dilation ${dilation.query}x${dilation.key}`] : []),
  ].join(", ");
}

/** What a convolution reads around an entry: `1 row before, 4 keys left, 4 right`. */
export function describeReach(stage: ConvStage): string {
  const { past, future, left, right } = convReach(stage);
  const sides = [
    ["row", past, "before"],
    ["row", future, "after"],
    ["key", left, "left"],
    ["key", right, "right"],
  ] as const;
  const read = sides.filter(([, count]) => count > 0);
  return read.length === 0
    ? "reads nothing around an entry"
    : `reads ${read.map(([what, count, where]) => `${count} ${what}${count === 1 ? "" : "s"} ${where}`).join(", ")}`;
}

/** Where a parameter lies among all of them, in words. */
export function parameterAt(plan: Plan, name: string): number {
  const placed = plan.parameters.find((parameter) => parameter.name === name);
  if (placed === undefined) throw new RangeError(`the plan has no parameter "${name}"`);
  return placed.offset;
}

/** The stage that a program's kernel computes. */
export function linearStage<Kind extends LinearStage["kind"]>(
  pipeline: Pipeline,
  { section, index }: StageIndex,
  kind: Kind,
): Extract<LinearStage, { kind: Kind }> {
  const stage = pipeline[section][index];
  if (stage === undefined || !isKind(stage, kind))
    throw new RangeError(`the plan's ${kind} names no stage that is one`);
  return stage;
}

function isKind<Kind extends LinearStage["kind"]>(
  stage: Pipeline["scores"][number] | Pipeline["weights"][number],
  kind: Kind,
): stage is Extract<LinearStage, { kind: Kind }> {
  return stage.kind === kind;
}
