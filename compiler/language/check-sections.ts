import type { CheckedStage, StageOf } from "./attention.ts";
import type { CheckContext } from "./check-context.ts";
import { checkStage, type StageSurroundings } from "./check-stage.ts";
import type { Inherited } from "./inherit.ts";
import { emittedName } from "./names.ts";
import { POINTWISE_KINDS, type PointwiseKind } from "./pointwise.ts";
import { MAX_STAGES } from "./ranges.ts";
import type { AttentionNode, SectionNode, StageNode } from "./tree.ts";
import { isOneOf, type SectionName, type StageKind, sectionsOf, wordList } from "./words.ts";

export function checkScores(source: Inherited, around: StageSurroundings, context: CheckContext) {
  return checkSection(source, "scores", around, context, isScoreStage);
}

export function checkWeights(source: Inherited, around: StageSurroundings, context: CheckContext) {
  return checkSection(source, "weights", around, context, isWeightStage);
}

export function checkOutput(source: Inherited, around: StageSurroundings, context: CheckContext) {
  return checkSection(source, "output", around, context, isOutputStage);
}

function isScoreStage(stage: CheckedStage): stage is StageOf<"conv" | "mix" | PointwiseKind> {
  return stage.kind === "conv" || stage.kind === "mix" || isOneOf(stage.kind, POINTWISE_KINDS);
}

function isWeightStage(stage: CheckedStage): stage is StageOf<"conv" | "mix" | "dropout"> {
  return stage.kind === "conv" || stage.kind === "mix" || stage.kind === "dropout";
}

function isOutputStage(stage: CheckedStage): stage is StageOf<"norm" | "gate"> {
  return stage.kind === "norm" || stage.kind === "gate";
}

function checkSection<S extends CheckedStage>(
  source: Inherited,
  name: SectionName,
  around: StageSurroundings,
  context: CheckContext,
  isAllowed: (stage: CheckedStage) => stage is S,
): S[] | null {
  const entry = source.sections.get(name);
  if (entry === undefined) return [];
  const { node, owner } = entry;
  if (!checkCount(node, owner, context)) return null;
  const stages: S[] = [];
  let right = checkOnce(node, owner, context) && checkLabels(node, owner, context);
  for (const stage of node.stages) {
    const allowed = checkPlace(stage, name, owner, context);
    const checked = checkStage(stage, owner, around, context);
    if (allowed && checked !== null && isAllowed(checked)) stages.push(checked);
    else right = false;
  }
  return right ? stages : null;
}

function checkCount({ section, stages }: SectionNode, owner: AttentionNode, context: CheckContext): boolean {
  const beyond = stages[MAX_STAGES];
  if (beyond === undefined) return true;
  context.report("MTA313", owner, beyond.span, `\`${section}\` has ${stages.length} stages`, {
    expected: `at most ${MAX_STAGES}`,
  });
  return false;
}

function checkPlace(
  stage: StageNode,
  section: SectionName,
  owner: AttentionNode,
  context: CheckContext,
): boolean {
  const sections = sectionsOf(stage.stage);
  if (sections.includes(section)) return true;
  context.report("MTA214", owner, stage.span, `\`${stage.stage}\` is not allowed in \`${section}\``, {
    expected: `\`${stage.stage}\` in ${wordList(sections)}`,
  });
  return false;
}

/** `norm` and `gate` have one parameter name each: at most one of a kind. */
function checkOnce(node: SectionNode, owner: AttentionNode, context: CheckContext): boolean {
  const seen = new Set<StageKind>();
  let right = true;
  for (const { stage, span } of node.stages) {
    if ((stage === "norm" || stage === "gate") && seen.has(stage) && node.section === "output") {
      right = false;
      context.report("MTA216", owner, span, `\`${stage}\` stands twice in \`${node.section}\``, {
        expected: `\`${stage}\` at most once`,
      });
    }
    seen.add(stage);
  }
  return right;
}

/** Labels, and the names `conv`, `conv_2` … of stages without one, must differ within a section. */
function checkLabels(node: SectionNode, owner: AttentionNode, context: CheckContext): boolean {
  const automatic = automaticNames(node);
  const taken = new Map(
    [...automatic].map((name) => [emittedName(name), `the name of a stage without a label, \`${name}\``]),
  );
  let right = true;
  for (const stage of node.stages) {
    const label = labelOf(stage);
    if (label === null) continue;
    const rival = taken.get(emittedName(label.text));
    taken.set(emittedName(label.text), `the label \`${label.text}\` in line ${label.span.line}`);
    if (rival === undefined) continue;
    right = false;
    context.report("MTA217", owner, label.span, `the label \`${label.text}\` collides with ${rival}`, {
      expected: "a label of its own for every stage of a section",
    });
  }
  return right;
}

function labelOf(stage: StageNode) {
  const modifier = stage.modifiers.find((entry) => entry.modifier === "as");
  return modifier?.modifier === "as" && modifier.value.kind === "name" ? modifier.value : null;
}

function automaticNames(node: SectionNode): Set<string> {
  const counts = new Map<StageKind, number>();
  const names = new Set<string>();
  for (const stage of node.stages) {
    const count = (counts.get(stage.stage) ?? 0) + 1;
    counts.set(stage.stage, count);
    if (labelOf(stage) === null) names.add(count === 1 ? stage.stage : `${stage.stage}_${count}`);
  }
  return names;
}
