import { formatKnobs } from "../../../../compiler/report/describe.ts";
import {
  bestOfEach,
  type ExplainedCandidate,
  type Explanation,
  groupReasons,
  sameKnobs,
} from "../../../../compiler/report/explain.ts";
import { formatBytes, formatCount, formatRatio, plural } from "../../../../compiler/report/units.ts";
import type { KernelPlan, Plan, Target } from "../../../../runtime/contract/index.ts";
import { button, fill, h } from "../dom.ts";
import type { CompileReply } from "../worker/protocol.ts";
import { bar, type Follow, notice, section, segmented, specLink, table, tile } from "./parts.ts";
import type { View } from "./pipeline-view.ts";

export interface PlanParts {
  readonly follow: Follow;
  /** Shows a kernel's text. */
  readonly openKernel: (target: Target, file: string) => void;
}

/** The targets whose kernels are shown. */
type ShownTarget = Extract<Target, keyof CompileReply>;

/** What the planner chose for each target, what it costs, and why the others were not taken. */
export function createPlanView({ follow, openKernel }: PlanParts): View {
  let target: ShownTarget = "webgpu";
  let latest: CompileReply | null = null;
  const body = h("div", { class: "view-body" });
  const show = (): void => {
    if (latest === null) return;
    const explanation = latest[target];
    fill(body, ...describe(explanation, follow, (file) => openKernel(target, file)));
  };
  const choice = segmented(
    "Target",
    [
      { value: "webgpu", label: "WebGPU" },
      { value: "cuda", label: "CUDA" },
    ],
    target,
    (value) => {
      target = value === "cuda" ? "cuda" : "webgpu";
      show();
    },
  );
  return {
    element: h("div", { class: "view" }, h("div", { class: "view-tools" }, choice), body),
    show: (reply) => {
      latest = reply;
      show();
    },
  };
}

function describe(
  explanation: Explanation,
  follow: Follow,
  open: (file: string) => void,
): readonly HTMLElement[] {
  const { plan } = explanation;
  if (plan === null)
    return [
      notice("error", {
        code: "MTA405",
        message: "no schedule fits the target",
        remedy: "the reasons below say which limit each breaks, and by how much",
      }),
      candidates(explanation),
    ];
  return [chosen(plan, explanation), kernels(plan, follow, open), candidates(explanation)];
}

function chosen(plan: Plan, { workspaceBytes, dispatches, shape }: Explanation): HTMLElement {
  const { cost, knobs, schedule, storage } = plan;
  return section(
    "Plan",
    `for length ${shape.Lq}, batch ${shape.B}`,
    h(
      "p",
      { class: "chosen" },
      h("strong", {}, schedule),
      h("span", { class: "chip" }, storage),
      ...Object.entries(knobs).map(([name, value]) =>
        h("span", { class: "chip" }, h("span", { class: "chip-name" }, name), ` ${value}`),
      ),
    ),
    h(
      "div",
      { class: "tiles" },
      tile(
        "multiply-adds",
        formatCount(cost.multiplyAdds),
        `${formatRatio(cost.multiplyAdds / cost.floorMultiplyAdds)} the least`,
      ),
      tile("bytes moved", formatBytes(cost.bytes), "predicted"),
      tile("workspace", formatBytes(workspaceBytes ?? 0), `in ${plural(plan.workspace.length, "buffer")}`),
      tile("dispatches", String(dispatches ?? 0), "a call"),
    ),
  );
}

function kernels(plan: Plan, follow: Follow, open: (file: string) => void): HTMLElement {
  const bindings = ({ bindings: own }: KernelPlan): string =>
    own.map(({ resource, access }) => (access === "read_write" ? `${resource}*` : resource)).join(" ");
  return section(
    "Kernels",
    "* written",
    table(
      "kernels",
      ["kernel", "workgroup", "memory", "bindings", "spec"],
      plan.kernels.map((kernel) => [
        button({ class: "link", title: `show ${kernel.file}` }, () => open(kernel.file), kernel.name),
        kernel.workgroupSize,
        formatBytes(kernel.workgroupBytes),
        h("span", { class: "muted" }, bindings(kernel)),
        specLink(kernel.source, follow),
      ]),
      [1, 2],
    ),
  );
}

function candidates(explanation: Explanation): HTMLElement {
  const { candidates: all, target, limits, plan } = explanation;
  const legal = all.filter(({ reason }) => reason === null);
  const shown = bestOfEach(legal);
  const least = legal[0]?.cost?.time ?? 1;
  const most = Math.max(least, ...shown.map(({ cost }) => cost?.time ?? 0));
  const where =
    limits.architecture === undefined
      ? `${formatBytes(limits.workgroupBytes)} of workgroup memory`
      : `${limits.architecture.name}, ${formatBytes(limits.workgroupBytes)} of shared memory a block`;
  const isChosen = ({ schedule, knobs }: ExplainedCandidate): boolean =>
    plan !== null && plan.schedule === schedule && sameKnobs(plan.knobs, knobs);
  const hidden = legal.length - shown.length;
  return section(
    "Candidates",
    `for ${where}`,
    shown.length === 0
      ? null
      : table(
          "candidates",
          [
            "schedule",
            "predicted time",
            "work",
            "moved",
            ...(target === "cuda" ? ["bound by"] : []),
            "knobs",
          ],
          shown.map((candidate) => {
            const { cost, estimate, knobs, schedule } = candidate;
            return [
              isChosen(candidate) ? h("strong", { class: "taken" }, schedule) : schedule,
              cost === null
                ? null
                : h(
                    "span",
                    { class: "work" },
                    bar(cost.time / most, isChosen(candidate) ? "" : "bar-other"),
                    h("span", { class: "work-number" }, formatRatio(cost.time / least)),
                  ),
              cost === null ? null : formatRatio(cost.multiplyAdds / cost.floorMultiplyAdds),
              cost === null ? null : formatBytes(cost.bytes),
              ...(target === "cuda"
                ? [
                    estimate === undefined || estimate.occupancy === null
                      ? ""
                      : `${estimate.bound}, ${Math.round(100 * estimate.occupancy)} % occupancy`,
                  ]
                : []),
              h("span", { class: "muted" }, formatKnobs(knobs).replaceAll("  ", ", ")),
            ];
          }),
          [2, 3],
        ),
    hidden > 0 ? h("p", { class: "muted" }, `and ${plural(hidden, "dearer variant")} of these`) : null,
    ...[...groupReasons(all)].map(([schedule, [first = "", ...others]]) =>
      h(
        "p",
        { class: "dropped" },
        h("strong", {}, schedule),
        ` ${first}`,
        others.length === 0
          ? null
          : h("span", { class: "muted" }, ` (the nearest of ${others.length + 1} variants)`),
      ),
    ),
  );
}
