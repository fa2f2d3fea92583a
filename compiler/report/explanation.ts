import type { Plan } from "../../runtime/contract/index.ts";
import type { Estimate } from "../plan/index.ts";
import { type Alignment, type Style, table, wrap } from "../terminal/style.ts";
import { describeSizes, formatKnobs, formatLayers } from "./describe.ts";
import {
  type AttentionFacts,
  bestOfEach,
  type ExplainedGradients,
  type ExplainedPlan,
  type Explanation,
  groupReasons,
  sameKnobs,
} from "./explain.ts";
import { drawPipeline, listParameters } from "./stage-picture.ts";
import { formatBytes, formatCount, formatRatio, plural } from "./units.ts";

/** The explanation for people. */
export function formatExplanation(explanation: Explanation, style: Style): string {
  const { pipeline, plan, gradients } = explanation;
  const sections = [
    formatTitle(explanation, style),
    drawPipeline(pipeline, style),
    `${style.bold("Parameters")}\n${listParameters(pipeline.parameters, style)}`,
    formatWork(explanation, style),
    formatCandidates(explanation, style),
  ];
  if (plan !== null) sections.push(formatPlan("Plan", plan, explanation, explanation, style));
  if (gradients !== undefined) sections.push(...formatGradients(gradients, explanation, style));
  return sections.join("\n\n");
}

/** One line of what an attention is, and the layers that use it. */
export function formatTitle({ name, stacks, pipeline }: AttentionFacts, style: Style): string {
  const lines = [table([[style.bold(name), describeSizes(pipeline).join(" · ")]])];
  for (const { stack, of, layers } of stacks)
    lines.push(
      wrap(
        style.dim(`${plural(layers.length, "layer")} of the ${of} in ${stack}: ${formatLayers(layers)}`),
        "  ",
      ),
    );
  return lines.join("\n");
}

function formatWork(explanation: Explanation, style: Style): string {
  const { shape, visiblePairs, operations, compulsoryBytes, pipeline } = explanation;
  const pairs = shape.B * pipeline.heads * shape.Lq * shape.Lk;
  const rows = [
    [
      "visible pairs",
      formatCount(visiblePairs),
      style.dim(`${formatShare(visiblePairs / pairs)} of all, over batch and heads`),
    ],
    ["operations", formatCount(operations), style.dim("at least, forward; a multiply-add is two")],
    ["compulsory bytes", formatBytes(compulsoryBytes), style.dim("q, k, v, o and the parameters, once each")],
    ["one full map", formatBytes(pairs * 4), style.dim("of scores in f32; no schedule makes one")],
  ];
  const { B, Lq } = shape;
  return `${style.bold("Work")} ${style.dim(`at length ${Lq}, batch ${B}`)}\n${table(rows, ["left", "right", "left"], "  ")}`;
}

/** 0.5 → "50 %". */
export function formatShare(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

function formatCandidates(explanation: Explanation, style: Style): string {
  const { candidates, plan } = explanation;
  const title = `${style.bold("Candidates")} ${style.dim(describeMachine(explanation))}`;
  const legal = candidates.filter((candidate) => candidate.reason === null);
  const cheapest = legal[0]?.cost?.time;
  const shownLegal = bestOfEach(legal);
  // Of some machines nobody knows how many blocks a processor holds.
  const estimated = shownLegal.some(({ estimate }) => typeof estimate?.occupancy === "number");
  const rows = shownLegal.map((candidate) => {
    const { cost } = candidate;
    const chosen =
      plan !== null && plan.schedule === candidate.schedule && sameKnobs(plan.knobs, candidate.knobs);
    return [
      chosen ? style.green("→") : " ",
      chosen ? style.green(candidate.schedule) : candidate.schedule,
      cost === null || cheapest === undefined ? "" : formatRatio(cost.time / cheapest),
      cost === null ? "" : formatRatio(cost.multiplyAdds / cost.floorMultiplyAdds),
      cost === null ? "" : formatBytes(cost.bytes),
      ...(estimated ? estimateCells(candidate.estimate) : []),
      style.dim(formatKnobs(candidate.knobs)),
    ];
  });
  const lines = [title];
  const head = ["", "schedule", "cost", "work", "moved", ...(estimated ? ["occupancy", "bound"] : [])];
  const alignment = head.map(
    (name, column): Alignment => (column < 2 || name === "bound" ? "left" : "right"),
  );
  if (rows.length > 0) {
    lines.push(table([[...head, "knobs"].map(style.dim), ...rows], [...alignment, "left"], "  "));
    lines.push(style.dim("  → is chosen; cost over the cheapest, work over the least there can be"));
  }
  const hidden = legal.length - shownLegal.length;
  if (hidden > 0)
    lines.push(style.dim(`    and ${plural(hidden, "dearer variant")} of these (all with --json)`));
  for (const [schedule, [first = "", ...others]] of groupReasons(candidates)) {
    const more = others.length === 0 ? "" : style.dim(` (the nearest of ${others.length + 1} variants)`);
    lines.push(wrap(`  ${style.red("✗")} ${schedule}: ${first}${more}`, "    "));
  }
  const unexplored = candidates.filter((candidate) => candidate.unexplored === true);
  for (const { schedule, knobs, reason } of unexplored)
    lines.push(wrap(style.dim(`  – ${schedule} with ${formatKnobs(knobs)}: ${reason}`), "    "));
  return lines.join("\n");
}

function describeMachine({ target, limits, processor }: Explanation): string {
  const { workgroupBytes, features, architecture } = limits;
  if (processor !== undefined)
    return `for ${target} with ${processor.lanes} floats a vector and ${plural(processor.threads, "thread")}`;
  if (architecture !== undefined)
    return `for ${target} on ${architecture.name}, ${formatBytes(workgroupBytes)} of shared memory a block`;
  const list = features.length === 0 ? "" : `, ${features.join(", ")}`;
  return `for ${target} with ${formatBytes(workgroupBytes)} of workgroup memory${list}`;
}

function estimateCells(estimate: Estimate | undefined): readonly string[] {
  if (estimate === undefined || estimate.occupancy === null) return ["", ""];
  return [`${Math.round(100 * estimate.occupancy)} %`, estimate.bound];
}

/** What gradients cost beside the forward pass, and how they are computed. */
function formatGradients(
  gradients: ExplainedGradients,
  explanation: Explanation,
  style: Style,
): readonly string[] {
  const { operations, compulsoryBytes: bytes, timeOverForward: time, plan } = gradients;
  const over = operations / explanation.operations;
  const rows = [
    ["operations", formatCount(operations), style.dim(`at least; ${formatRatio(over)} the forward pass's`)],
    ["compulsory bytes", formatBytes(bytes), style.dim("what is read, d_o in place of o; gradients in f32")],
    ...(time === null
      ? []
      : [
          ["predicted time", formatRatio(time), style.dim("the forward pass's, by the costs of their plans")],
        ]),
  ];
  const work = `${style.bold("Gradients")}\n${table(rows, ["left", "right", "left"], "  ")}`;
  if (plan !== null) return [work, formatPlan("Plan for gradients", plan, gradients, explanation, style)];
  const reasons = [...groupReasons(gradients.candidates)].map(([schedule, [first = ""]]) =>
    wrap(`  ${style.red("✗")} ${schedule}: ${first}`, "    "),
  );
  return [[work, ...reasons].join("\n")];
}

function formatPlan(
  title: string,
  plan: Plan,
  explained: ExplainedPlan,
  explanation: Explanation,
  style: Style,
): string {
  const { workspaceBytes, dispatches } = explained;
  const head = `${style.bold(title)} ${plan.schedule}, ${plan.storage} storage`;
  if (explanation.processor !== undefined)
    return [
      head,
      wrap(`  ${style.dim(formatKnobs(plan.knobs))}`, "  "),
      ...formatLibraryCall(plan, explained, explanation),
    ].join("\n");
  const kernels = plan.kernels.map((kernel) => [
    style.cyan(kernel.name),
    String(kernel.workgroupSize),
    formatBytes(kernel.workgroupBytes),
    kernel.bindings
      .map(({ resource, access }) => (access === "read_write" ? `${resource}*` : resource))
      .join(" "),
  ]);
  const lines = [
    head,
    wrap(`  ${style.dim(formatKnobs(plan.knobs))}`, "  "),
    table(
      [["kernel", "workgroup", "workgroup memory", "bindings (* written)"].map(style.dim), ...kernels],
      ["left", "right", "right", "left"],
      "  ",
    ),
  ];
  if (workspaceBytes !== null && dispatches !== null)
    lines.push(
      `  workspace ${formatBytes(workspaceBytes)} in ${plural(plan.workspace.length, "buffer")}, ${plural(dispatches, "dispatch").replace(/hs$/, "hes")}`,
    );
  return lines.join("\n");
}

/** What the C library does with a plan: there are no kernels to list. */
function formatLibraryCall(
  { knobs, direction }: Plan,
  { workspaceBytes, doubledWorkspaceBytes }: ExplainedPlan,
  { shape, processor }: Explanation,
): readonly string[] {
  const { strip, block } = knobs;
  const way =
    direction === "backward"
      ? `strips of ${strip} rows, from the last to the first, and the forward pass again within them`
      : `strips of ${strip} rows, within which keys go by in blocks of ${block}. Threads share the rows`;
  const lines = [wrap(`  The C library computes ${way}.`, "  ")];
  if (workspaceBytes === null || doubledWorkspaceBytes === undefined || processor === undefined) return lines;
  const growth = `it grows with the keys alone: ${formatBytes(doubledWorkspaceBytes)} for ${2 * shape.Lk}`;
  return [
    ...lines,
    wrap(
      `  workspace ${formatBytes(workspaceBytes)} with ${plural(processor.threads, "thread")}; ${growth}`,
      "  ",
    ),
  ];
}
