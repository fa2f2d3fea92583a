import { format } from "./format.ts";
import type {
  DeclarationNode,
  Expression,
  InitNode,
  Invalid,
  LayerSet,
  MaskNode,
  ModifierNode,
  Name,
  PairNode,
  PropertyNode,
  SpecTree,
  StackItem,
  StageNode,
  TuneItem,
} from "./tree.ts";

/** Writes a tree, parsed or built in TypeScript, as a formatted spec. The tree must be free of errors. */
export function printSpec(tree: SpecTree): string {
  const source = `${tree.declarations.map(declaration).join("\n\n")}\n`;
  const formatted = format(source, tree.file);
  if ("text" in formatted) return formatted.text;
  const reasons = formatted.diagnostics.map((entry) => entry.message).join("; ");
  throw new RangeError(`this tree has errors and cannot be printed: ${reasons}`);
}

function declaration(node: DeclarationNode): string {
  switch (node.kind) {
    case "attention": {
      const base = node.base === null ? "" : ` extends ${name(node.base)}`;
      const items = node.items.map((item) =>
        "property" in item ? property(item) : `${item.section} { ${item.stages.map(stage).join("  ")} }`,
      );
      // Properties, a blank line, sections.
      const first = node.items.findIndex((item) => "section" in item);
      if (first > 0) items[first] = `\n  ${items[first]}`;
      return block(`attention ${name(node.name)}${base}`, items);
    }
    case "const":
      return `const ${name(node.name)} = ${expression(node.value, 0)}`;
    case "stack":
      return block(`stack ${name(node.name)}`, node.items.map(stackItem));
    case "tune":
      return block(`tune ${name(node.attention)}`, node.items.map(tuneItem));
    case "unknown":
      return "";
  }
}

function block(header: string, items: readonly string[]): string {
  return `${header} {\n${items.map((item) => `  ${item}\n`).join("")}}`;
}

function name(node: Name | Invalid): string {
  return node.kind === "name" ? node.text : "?";
}

/** `binding` is that of the operator around: 0 none, 1 sum, 2 product, 3 sign. */
function expression(node: Expression, binding: number): string {
  switch (node.kind) {
    case "invalid":
      return "?";
    case "number":
    case "name":
      return node.text;
    case "negate":
      return `-${expression(node.operand, 3)}`;
    case "binary": {
      const own = node.operator === "+" || node.operator === "-" ? 1 : 2;
      // To the right, an operator of the same rank needs parentheses: all of them group to the left.
      const text = `${expression(node.left, own)} ${node.operator} ${expression(node.right, own + 1)}`;
      return own < binding ? `(${text})` : text;
    }
  }
}

/** A number where one value may stand. */
function value(node: Expression): string {
  return node.kind === "number" || node.kind === "name" || node.kind === "invalid"
    ? expression(node, 0)
    : `(${expression(node, 0)})`;
}

function property(node: PropertyNode): string {
  switch (node.property) {
    case "scale":
      return `scale ${node.value.kind === "rsqrt" ? "rsqrt(head_dim)" : value(node.value)}`;
    case "dtype":
    case "normalize":
      return `${node.property} ${node.value.kind === "choice" ? node.value.value : "?"}`;
    case "mask":
      return `mask ${node.terms.map(maskTerm).join(" ")}`;
    case "heads":
    case "kv_heads":
    case "head_dim":
    case "value_dim":
      return `${node.property} ${value(node.value)}`;
  }
}

function maskTerm(term: MaskNode): string {
  if (term.kind === "invalid") return "?";
  return term.kind === "window" ? `window ${value(term.size)}` : term.kind;
}

function pair(node: PairNode): string {
  if (node.kind === "invalid") return "?";
  const plain = [node.query, node.key].map((side) =>
    side.kind === "number" && /^\d+$/.test(side.text) ? side.text : null,
  );
  const [query, key] = plain;
  if (query !== null && key !== null) return `${query}x${key}`;
  return `(${expression(node.query, 0)}, ${expression(node.key, 0)})`;
}

function stage(node: StageNode): string {
  return [stageHead(node), ...node.modifiers.map(modifier)].join(" ");
}

function stageHead(node: StageNode): string {
  switch (node.stage) {
    case "conv":
      return `conv ${pair(node.size)}`;
    case "mix":
      return `mix ${value(node.group)}`;
    case "dropout":
      return `dropout ${value(node.rate)}`;
    case "norm":
    case "gate":
      return node.stage;
    default:
      return node.operand === null ? node.stage : `${node.stage} ${value(node.operand)}`;
  }
}

function modifier(node: ModifierNode): string {
  switch (node.modifier) {
    case "pad_key":
    case "pad_query":
      return `${node.modifier} ${node.value.kind === "choice" ? node.value.value : "?"}`;
    case "across":
    case "eps":
      return `${node.modifier} ${value(node.value)}`;
    case "dilation":
      return `dilation ${pair(node.value)}`;
    case "init":
      return `init ${init(node.value)}`;
    case "bias":
    case "shared":
    case "depth_scale":
      return node.modifier;
    case "mode":
      return node.value;
    case "as":
      return `as ${name(node.value)}`;
  }
}

function init(node: InitNode): string {
  if (node.kind === "invalid") return "?";
  return node.kind === "normal" ? `normal ${value(node.std)}` : node.kind;
}

function stackItem(item: StackItem): string {
  if (item.kind === "layers") return `layers ${value(item.value)}`;
  if (item.layers === "otherwise") return `use ${name(item.attention)} otherwise`;
  const sets = "kind" in item.layers ? "?" : item.layers.map(layerSet).join(", ");
  return `use ${name(item.attention)} at ${sets}`;
}

function layerSet(set: LayerSet): string {
  switch (set.kind) {
    case "layer":
      return value(set.layer);
    case "range":
      return `${value(set.from)}..${value(set.to)}`;
    case "steps":
      return `every ${value(set.every)} from ${value(set.from)}`;
  }
}

function tuneItem(item: TuneItem): string {
  const values = item.values.map(value).join(", ");
  return item.kind === "sweep" ? `sweep ${name(item.knob)} ${values}` : `${item.kind} ${values}`;
}
