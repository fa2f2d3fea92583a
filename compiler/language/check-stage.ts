import type { Initializer } from "../../runtime/contract/index.ts";
import type { CheckedStage, Span, StageOf } from "./attention.ts";
import type { CheckContext } from "./check-context.ts";
import type { DiagnosticCode, DiagnosticExtras } from "./diagnostics.ts";
import { POINTWISE, type PointwiseKind } from "./pointwise.ts";
import { RANGES, type Range } from "./ranges.ts";
import type { AttentionNode, Expression, ModifierNode, PairNode, StageNode } from "./tree.ts";
import { isOneOf, modifiersOf, STAGES, wordList } from "./words.ts";

/** What stages depend on beside their own words; `heads` is null when it has no valid value. */
export interface StageSurroundings {
  readonly heads: number | null;
  readonly causal: boolean;
}

type ModifierKind = ModifierNode["modifier"];
type ModifierOf<K extends ModifierKind> = Extract<ModifierNode, { modifier: K }>;

/** Checks one stage; null when anything is wrong with it. */
export function checkStage(
  node: StageNode,
  owner: AttentionNode,
  around: StageSurroundings,
  context: CheckContext,
): CheckedStage | null {
  const check = new StageCheck(node, owner, around, context);
  switch (node.stage) {
    case "conv":
      return check.conv(node.size);
    case "mix":
      return check.mix(node.group);
    case "dropout":
      return check.dropout(node.rate);
    case "norm":
      return check.norm();
    case "gate":
      return check.gate();
    default:
      return check.pointwise(node.stage, node.operand);
  }
}

class StageCheck {
  private readonly node: StageNode;
  private readonly owner: AttentionNode;
  private readonly around: StageSurroundings;
  private readonly context: CheckContext;
  private readonly modifiers: readonly ModifierNode[];
  private right = true;

  constructor(node: StageNode, owner: AttentionNode, around: StageSurroundings, context: CheckContext) {
    this.node = node;
    this.owner = owner;
    this.around = around;
    this.context = context;
    this.modifiers = this.checkModifiers();
  }

  conv(sizeNode: PairNode): StageOf<"conv"> | null {
    const size = this.pair(sizeNode, "a kernel's height CQ", "a kernel's width CK", RANGES.kernel);
    const padKey = this.padKey();
    const padQuery = this.padQuery();
    const across = this.optionalNumber("across", RANGES.group, 1);
    const dilationNode = this.find("dilation");
    const dilation =
      dilationNode === undefined
        ? { query: 1, key: 1 }
        : this.pair(dilationNode.value, "the rows' `dilation`", "the keys' `dilation`", RANGES.dilation);
    const init = this.init();
    if (across !== null) this.checkDivides("across", across, this.find("across")?.span ?? this.node.span);
    if (size !== null && padKey === "both")
      this.checkOdd("MTA305", "pad_key", "CK", size.key, "`pad_key left` or `pad_key right`");
    if (size !== null && padQuery === "both")
      this.checkOdd("MTA306", "pad_query", "CQ", size.query, "`pad_query past`");
    if (padQuery === "both") this.warnAboutFuture(size?.query ?? 1);
    if (
      size === null ||
      padKey === null ||
      padQuery === null ||
      across === null ||
      dilation === null ||
      init === null
    )
      return null;
    const { bias, shared, label, span } = {
      bias: this.has("bias"),
      shared: this.has("shared"),
      label: this.label(),
      span: this.node.span,
    };
    return this.finish({
      kind: "conv",
      ...size,
      padKey,
      padQuery,
      across,
      dilation,
      bias,
      shared,
      init,
      label,
      span,
    });
  }

  mix(groupNode: Expression): StageOf<"mix"> | null {
    const group = this.context.evaluator.number(groupNode, "the group of `mix`", RANGES.group);
    const init = this.init();
    if (group !== null) this.checkDivides("mix", group, groupNode.span);
    if (group === null || init === null) return null;
    return this.finish({ kind: "mix", group, init, label: this.label(), span: this.node.span });
  }

  pointwise(kind: PointwiseKind, operandNode: Expression | null): CheckedStage | null {
    const { operand, make } = POINTWISE[kind];
    const value =
      operand === null || operandNode === null
        ? 0
        : this.context.evaluator.number(operandNode, `\`${kind}\``, operand.range);
    return value === null ? null : this.finish({ ...make(value), span: this.node.span });
  }

  dropout(rateNode: Expression): StageOf<"dropout"> | null {
    const rate = this.context.evaluator.number(rateNode, "`dropout`", RANGES.dropout);
    return rate === null ? null : this.finish({ kind: "dropout", rate, span: this.node.span });
  }

  norm(): StageOf<"norm"> | null {
    const eps = this.optionalNumber("eps", RANGES.eps, 1e-5);
    if (eps === null) return null;
    return this.finish({
      kind: "norm",
      eps,
      depthScale: this.has("depth_scale"),
      label: this.label(),
      span: this.node.span,
    });
  }

  gate(): StageOf<"gate"> | null {
    const mode = this.find("mode")?.value ?? "scalar";
    return this.finish({ kind: "gate", mode, label: this.label(), span: this.node.span });
  }

  private finish<S extends CheckedStage>(stage: S): S | null {
    return this.right ? stage : null;
  }

  /** Reports modifiers that the stage does not have, or has twice, and leaves them out. */
  private checkModifiers(): ModifierNode[] {
    const kept: ModifierNode[] = [];
    for (const modifier of this.node.modifiers) {
      const word = modifier.modifier === "mode" ? modifier.value : modifier.modifier;
      if (!isOneOf(word, modifiersOf(this.node.stage))) this.reportForeign(word, modifier);
      else if (kept.some((entry) => entry.modifier === modifier.modifier))
        this.reportRepeated(word, modifier);
      else kept.push(modifier);
    }
    return kept;
  }

  private reportForeign(word: string, modifier: ModifierNode): void {
    const stages = STAGES.filter((stage) => isOneOf(word, modifiersOf(stage)));
    const own = modifiersOf(this.node.stage);
    const may =
      own.length === 0
        ? `\`${this.node.stage}\` without modifiers`
        : `${wordList(own)} with \`${this.node.stage}\``;
    this.report("MTA215", modifier.span, `\`${this.node.stage}\` has no modifier \`${word}\``, {
      expected: `${may}; \`${word}\` belongs to ${wordList(stages)}`,
    });
  }

  private reportRepeated(word: string, modifier: ModifierNode): void {
    const what = modifier.modifier === "mode" ? "the gate's mode" : `the modifier \`${word}\``;
    this.report("MTA212", modifier.span, `${what} is given twice`, {
      expected: "each modifier at most once",
    });
  }

  private report(code: DiagnosticCode, span: Span, message: string, extras: DiagnosticExtras = {}): void {
    this.right = false;
    this.context.report(code, this.owner, span, message, extras);
  }

  private find<K extends ModifierKind>(kind: K): ModifierOf<K> | undefined {
    return this.modifiers.find((entry): entry is ModifierOf<K> => entry.modifier === kind);
  }

  private has(kind: ModifierKind): boolean {
    return this.find(kind) !== undefined;
  }

  private label(): string | null {
    const value = this.find("as")?.value;
    if (value?.kind === "invalid") this.right = false;
    return value?.kind === "name" ? value.text : null;
  }

  private padKey() {
    const value = this.find("pad_key")?.value;
    if (value === undefined) return "both";
    return value.kind === "choice" ? value.value : null;
  }

  private padQuery() {
    const value = this.find("pad_query")?.value;
    if (value === undefined) return "past";
    return value.kind === "choice" ? value.value : null;
  }

  private optionalNumber(kind: "across" | "eps", range: Range, fallback: number): number | null {
    const node = this.find(kind);
    return node === undefined ? fallback : this.context.evaluator.number(node.value, `\`${kind}\``, range);
  }

  private pair(
    node: PairNode,
    query: string,
    key: string,
    range: Range,
  ): { query: number; key: number } | null {
    if (node.kind === "invalid") return null;
    const rows = this.context.evaluator.number(node.query, query, range);
    const keys = this.context.evaluator.number(node.key, key, range);
    return rows === null || keys === null ? null : { query: rows, key: keys };
  }

  private init(): Initializer | null {
    const value = this.find("init")?.value;
    if (value === undefined) return { kind: "identity" };
    if (value.kind === "invalid") return null;
    if (value.kind !== "normal") return { kind: value.kind };
    const std = this.context.evaluator.number(value.std, "the deviation of `init normal`", RANGES.std);
    return std === null ? null : { kind: "normal", std };
  }

  private checkDivides(word: string, group: number, span: Span): void {
    const { heads } = this.around;
    if (heads === null || heads % group === 0) return;
    this.report("MTA304", span, `\`${word} ${group}\` does not divide \`heads\` ${heads}`, {
      expected: `a divisor of ${heads}`,
    });
  }

  private checkOdd(
    code: "MTA305" | "MTA306",
    word: string,
    axis: string,
    size: number,
    remedy: string,
  ): void {
    if (size % 2 === 1) return;
    const place = this.node.stage === "conv" ? this.node.size.span : this.node.span;
    const stated = this.has(code === "MTA305" ? "pad_key" : "pad_query") ? "" : ", the default,";
    this.report(code, place, `\`${word} both\`${stated} needs an odd ${axis}, and ${axis} is ${size}`, {
      fix: { message: `write ${remedy}, or an odd ${axis}` },
    });
  }

  private warnAboutFuture(height: number): void {
    const node = this.find("pad_query");
    if (!this.around.causal || node === undefined || height === 1) return;
    this.context.report(
      "MTA501",
      this.owner,
      node.span,
      "with `pad_query both` a row reads later queries, so the result is not causal",
      {
        fix: { message: "write `pad_query past`, or leave `causal` out of the mask" },
      },
    );
  }
}
