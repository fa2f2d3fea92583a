import type { Stack } from "./attention.ts";
import type { Reporter } from "./diagnostics.ts";
import type { Evaluator } from "./evaluate.ts";
import type { Scope } from "./names.ts";
import { RANGES } from "./ranges.ts";
import type { LayerSet, StackItem, StackNode } from "./tree.ts";

type Use = Extract<StackItem, { kind: "use" }>;

/** Checks that a stack gives every layer exactly one attention. Null when it does not. */
export function checkStack(
  node: StackNode,
  scope: Scope,
  evaluator: Evaluator,
  reporter: Reporter,
): Stack | null {
  return new StackCheck(node, scope, evaluator, reporter).check();
}

class StackCheck {
  private readonly node: StackNode;
  private readonly scope: Scope;
  private readonly evaluator: Evaluator;
  private readonly reporter: Reporter;
  /** Layer number → the attention's name. */
  private readonly covered = new Map<number, string>();
  private right = true;

  constructor(node: StackNode, scope: Scope, evaluator: Evaluator, reporter: Reporter) {
    this.node = node;
    this.scope = scope;
    this.evaluator = evaluator;
    this.reporter = reporter;
  }

  check(): Stack | null {
    const layers = this.layerCount();
    const uses = this.node.items.filter((item): item is Use => item.kind === "use");
    for (const use of uses) {
      if (use.attention.kind === "invalid") this.right = false;
      else if (this.lookUp(use.attention.text, use.attention.span) === null) this.right = false;
      if (use.layers !== "otherwise") this.coverListed(use, layers);
    }
    this.coverRest(uses, layers);
    const { name, span } = this.node;
    if (!this.right || layers === null || name.kind === "invalid") return null;
    const attentions = Array.from({ length: layers }, (_, layer) => this.covered.get(layer) ?? "");
    return { name: name.text, layers, attentions, span };
  }

  private lookUp(name: string, span: StackNode["span"]) {
    return this.scope.lookUp(name, "attention", span, "MTA208", "attention");
  }

  private layerCount(): number | null {
    const [first, ...others] = this.node.items.filter((item) => item.kind === "layers");
    for (const other of others) this.repeated(other, "`layers`");
    if (first !== undefined) return this.evaluator.number(first.value, "`layers`", RANGES.layers);
    const { name } = this.node;
    if (name.kind === "name" && !this.node.damaged) {
      this.reporter.report("MTA213", name.span, `stack \`${name.text}\` lacks \`layers\``, {
        fix: { message: "add, for example, `layers 24`" },
      });
    }
    return null;
  }

  private repeated(item: StackItem, what: string): void {
    this.right = false;
    this.reporter.report("MTA210", item.span, `${what} is given twice in a stack`, {
      expected: `${what} once`,
    });
  }

  private coverListed(use: Use, layers: number | null): void {
    if (use.layers === "otherwise") return;
    if ("kind" in use.layers) {
      this.right = false;
      return;
    }
    for (const set of use.layers) this.cover(set, use, layers);
  }

  private cover(set: LayerSet, use: Use, layers: number | null): void {
    const numbers = this.numbersOf(set, layers);
    if (numbers === null || layers === null) {
      this.right = false;
      return;
    }
    const outside = numbers.filter((layer) => layer >= layers);
    if (outside.length > 0) {
      this.right = false;
      this.reporter.report("MTA309", set.span, `the stack has no ${layerPhrase(outside)}`, {
        expected: `layers from 0 to ${layers - 1}`,
      });
    }
    const twice = numbers.filter((layer) => this.covered.has(layer));
    if (twice.length > 0) {
      this.right = false;
      const first = this.covered.get(twice[0] ?? 0) ?? "";
      this.reporter.report(
        "MTA310",
        set.span,
        `${layerPhrase(twice)} ${twice.length === 1 ? "is" : "are"} covered already, by \`${first}\``,
        {
          expected: "every layer exactly once",
        },
      );
    }
    const name = use.attention.kind === "name" ? use.attention.text : "";
    for (const layer of numbers) if (!this.covered.has(layer)) this.covered.set(layer, name);
  }

  private numbersOf(set: LayerSet, layers: number | null): number[] | null {
    switch (set.kind) {
      case "layer": {
        const layer = this.evaluator.number(set.layer, "a layer", RANGES.layer);
        return layer === null ? null : [layer];
      }
      case "range":
        return this.rangeOf(set);
      case "steps": {
        const every = this.evaluator.number(set.every, "`every`", RANGES.step);
        const from = this.evaluator.number(set.from, "`from`", RANGES.layer);
        if (every === null || from === null || layers === null) return null;
        // A first step outside the stack is kept, so that it is reported.
        const count = Math.max(1, Math.ceil((layers - from) / every));
        return Array.from({ length: count }, (_, index) => from + index * every);
      }
    }
  }

  private rangeOf(set: Extract<LayerSet, { kind: "range" }>): number[] | null {
    const from = this.evaluator.number(set.from, "a layer", RANGES.layer);
    const to = this.evaluator.number(set.to, "a layer", RANGES.layer);
    if (from === null || to === null) return null;
    if (to >= from) return Array.from({ length: to - from + 1 }, (_, index) => from + index);
    this.reporter.report("MTA312", set.span, `the range ${from}..${to} runs backwards`, {
      fix: { message: `write \`${to}..${from}\``, replacement: `${to}..${from}`, span: set.span },
    });
    return null;
  }

  private coverRest(uses: readonly Use[], layers: number | null): void {
    const [rest, ...others] = uses.filter((use) => use.layers === "otherwise");
    for (const other of others) this.repeated(other, "`otherwise`");
    if (layers === null) return;
    const open = Array.from({ length: layers }, (_, layer) => layer).filter(
      (layer) => !this.covered.has(layer),
    );
    if (rest !== undefined) this.coverOtherwise(rest, open);
    // With a list that could not be read, nobody knows what it covers.
    else if (open.length > 0 && this.right && !this.node.damaged) this.reportOpen(open);
  }

  private coverOtherwise(rest: Use, open: readonly number[]): void {
    if (open.length === 0 && this.right) {
      this.reporter.report(
        "MTA502",
        rest.span,
        "every layer is covered already, so `otherwise` covers nothing",
      );
    }
    const name = rest.attention.kind === "name" ? rest.attention.text : "";
    for (const layer of open) this.covered.set(layer, name);
  }

  private reportOpen(open: readonly number[]): void {
    this.right = false;
    const { name, span } = this.node;
    const place = name.kind === "name" ? name.span : span;
    const verb = open.length === 1 ? "has" : "have";
    this.reporter.report("MTA311", place, `${layerPhrase(open)} ${verb} no attention`, {
      fix: { message: "add `use … at …` for them, or `use … otherwise`" },
    });
  }
}

function layerPhrase(layers: readonly number[]): string {
  return `${layers.length === 1 ? "layer" : "layers"} ${listLayers(layers)}`;
}

/** `2, 5..8, 11`, in ascending order. */
function listLayers(layers: readonly number[]): string {
  const runs: { from: number; to: number }[] = [];
  for (const layer of layers) {
    const last = runs.at(-1);
    if (last !== undefined && last.to === layer - 1) last.to = layer;
    else runs.push({ from: layer, to: layer });
  }
  return runs.map(({ from, to }) => (from === to ? `${from}` : `${from}..${to}`)).join(", ");
}
