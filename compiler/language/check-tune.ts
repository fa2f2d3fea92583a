import type { Tune } from "./attention.ts";
import type { Reporter } from "./diagnostics.ts";
import type { Evaluator } from "./evaluate.ts";
import type { Scope } from "./names.ts";
import { RANGES, type Range } from "./ranges.ts";
import type { Expression, TuneItem, TuneNode } from "./tree.ts";

type Sweep = Extract<TuneItem, { kind: "sweep" }>;

/** Checks a sweep, all but its knobs: the planner knows those. */
export function checkTune(
  node: TuneNode,
  scope: Scope,
  evaluator: Evaluator,
  reporter: Reporter,
): Tune | null {
  const attention = node.attention.kind === "name" ? node.attention : null;
  const known =
    attention === null
      ? null
      : scope.lookUp(attention.text, "attention", attention.span, "MTA208", "attention");
  const lengths = listOf("lengths", node, RANGES.lengths, evaluator);
  const batch = listOf("batch", node, RANGES.batch, evaluator);
  const items = node.items.filter((item): item is Sweep => item.kind === "sweep");
  const sweeps = items.map((item) => checkSweep(item, scope, evaluator));
  const unique = checkRepetition(node, reporter);
  const kept = sweeps.filter((sweep) => sweep !== null);
  if (attention === null || known === null || lengths === null || batch === null || !unique) return null;
  return kept.length < sweeps.length
    ? null
    : { attention: attention.text, lengths, batch, sweeps: kept, span: node.span };
}

function listOf(
  kind: "lengths" | "batch",
  node: TuneNode,
  range: Range,
  evaluator: Evaluator,
): number[] | null {
  const item = node.items.find((entry) => entry.kind === kind);
  if (item === undefined) return [];
  const values = item.values.map((value) => evaluator.number(value, `a value of \`${kind}\``, range));
  const kept = values.filter((value) => value !== null);
  return kept.length < values.length ? null : kept;
}

function checkSweep(item: Sweep, scope: Scope, evaluator: Evaluator): Tune["sweeps"][number] | null {
  const values = item.values.map((value) => sweepValue(value, scope, evaluator));
  const kept = values.filter((value) => value !== null);
  if (item.knob.kind === "invalid" || kept.length < values.length) return null;
  return { knob: item.knob.text, values: kept, span: item.span };
}

/** A name is a constant where there is one, else a word that the planner knows. */
function sweepValue(value: Expression, scope: Scope, evaluator: Evaluator): number | string | null {
  if (value.kind === "name" && scope.findConstant(value.text) === null) return value.text;
  return evaluator.plainNumber(value);
}

function checkRepetition(node: TuneNode, reporter: Reporter): boolean {
  const seen = new Set<string>();
  let unique = true;
  for (const item of node.items) {
    const knob = item.kind === "sweep" && item.knob.kind === "name" ? item.knob.text : "";
    const key = `${item.kind} ${knob}`;
    if (seen.has(key) && key !== "sweep ") {
      unique = false;
      const what = item.kind === "sweep" ? `the knob \`${knob}\`` : `\`${item.kind}\``;
      reporter.report("MTA210", item.span, `${what} is given twice in a tune`, {
        expected: `${what} once, with all its values`,
      });
    }
    seen.add(key);
  }
  return unique;
}
