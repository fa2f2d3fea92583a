import type { Attention, CheckedSpec, Stack, Tune } from "./attention.ts";
import { checkAttention } from "./check-attention.ts";
import { CheckContext, type Faults } from "./check-context.ts";
import { checkStack } from "./check-stack.ts";
import { checkTune } from "./check-tune.ts";
import { type Diagnostic, Reporter } from "./diagnostics.ts";
import { Evaluator } from "./evaluate.ts";
import { inheritAll } from "./inherit.ts";
import { Scope } from "./names.ts";
import { parse } from "./parse.ts";
import { toNumber } from "./rational.ts";
import type { AttentionNode, ConstNode, SpecTree, TuneNode } from "./tree.ts";

/** What the front end says about a spec. */
export interface Analysis {
  /** Null when there is any error. */
  readonly spec: CheckedSpec | null;
  readonly diagnostics: readonly Diagnostic[];
  readonly tree: SpecTree;
  /** What is right in itself, whatever is wrong beside it: for editors, which show unfinished specs. */
  readonly sound: SoundParts;
}

/** The declarations of a spec that have no error of their own, and that need nothing with one. */
export interface SoundParts {
  readonly attentions: readonly Attention[];
  readonly stacks: readonly Stack[];
  readonly constants: ReadonlyMap<ConstNode, number>;
}

/**
 * Reads and checks a spec.
 * @param source the text of the spec
 * @param file the name that diagnostics give to it
 */
export function analyse(source: string, file: string): Analysis {
  const { tree, diagnostics } = parse(source, file);
  return check(tree, diagnostics);
}

/** Checks a tree, from the parser or from the TypeScript builder; `earlier` is what making it has reported. */
export function check(tree: SpecTree, earlier: readonly Diagnostic[]): Analysis {
  const reporter = new Reporter(tree.file);
  reporter.add(earlier);
  if (tree.declarations.length === 0 && !reporter.hasErrors) warnOfNothing(reporter);
  const scope = new Scope(tree, reporter);
  const evaluator = new Evaluator(scope, reporter);
  const constants = new Map<ConstNode, number>();
  for (const declaration of tree.declarations) {
    if (declaration.kind !== "const") continue;
    const value = evaluator.constant(declaration);
    if (value !== null) constants.set(declaration, toNumber(value));
  }
  const attentions = checkAttentions(tree, scope, evaluator, reporter);
  const stacks = checkStacks(tree, scope, evaluator, reporter);
  const tunes = checkTunes(tree, scope, evaluator, reporter);
  const spec = reporter.hasErrors ? null : { file: tree.file, attentions, stacks, tunes };
  return { spec, diagnostics: reporter.diagnostics, tree, sound: { attentions, stacks, constants } };
}

function warnOfNothing(reporter: Reporter): void {
  const start = { start: 0, end: 0, line: 1, column: 1 };
  reporter.report("MTA503", start, "this spec declares nothing", {
    fix: {
      message: "add, for example, `attention my_attention { heads 16 head_dim 64 scores { conv 6x11 } }`",
    },
  });
}

function checkAttentions(
  tree: SpecTree,
  scope: Scope,
  evaluator: Evaluator,
  reporter: Reporter,
): Attention[] {
  const faults: Faults = new Map();
  const checked = new Map<AttentionNode, Attention | null>();
  for (const source of inheritAll(tree, scope, reporter)) {
    checked.set(
      source.node,
      checkAttention(source, new CheckContext(source.node, evaluator, reporter, faults)),
    );
  }
  return tree.declarations
    .map((declaration) => (declaration.kind === "attention" ? (checked.get(declaration) ?? null) : null))
    .filter((attention) => attention !== null);
}

function checkStacks(tree: SpecTree, scope: Scope, evaluator: Evaluator, reporter: Reporter): Stack[] {
  return tree.declarations
    .map((declaration) =>
      declaration.kind === "stack" ? checkStack(declaration, scope, evaluator, reporter) : null,
    )
    .filter((stack) => stack !== null);
}

function checkTunes(tree: SpecTree, scope: Scope, evaluator: Evaluator, reporter: Reporter): Tune[] {
  const nodes = tree.declarations.filter(
    (declaration): declaration is TuneNode => declaration.kind === "tune",
  );
  const tuned = new Set<string>();
  for (const { attention } of nodes) {
    if (attention.kind === "invalid") continue;
    if (tuned.has(attention.text)) {
      reporter.report("MTA220", attention.span, `\`${attention.text}\` has a \`tune\` already`, {
        expected: "one `tune` for each attention",
      });
    }
    tuned.add(attention.text);
  }
  return nodes.map((node) => checkTune(node, scope, evaluator, reporter)).filter((tune) => tune !== null);
}
