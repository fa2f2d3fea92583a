import type { TensorError } from "../../../../compiler/execution/comparison.ts";
import { formatBytes, formatError, formatMilliseconds, plural } from "../../../../compiler/report/units.ts";
import type { CallStatistics } from "../../../../runtime/auto/index.ts";
import { h, icon } from "../dom.ts";
import { DEVICE_NAMES } from "../state/settings.ts";
import type { RunReply } from "../worker/protocol.ts";
import { section, table, tile } from "./parts.ts";

/** What a run gave: each tensor's error beside its bound, times and memory. */
export function describeRun({ device, referenceMs }: RunReply): readonly HTMLElement[] {
  const reference = tile("reference", formatMilliseconds(referenceMs), "float64 on the processor");
  if (device === null)
    return [
      section(
        "Result",
        null,
        h("p", {}, "The float64 reference is computed; nothing else could compute."),
        h("div", { class: "tiles" }, reference),
      ),
    ];
  const { kind, statistics, backward, errors, compileMs, name } = device;
  const fine = errors.every(({ ok }) => ok);
  return [
    section(
      `Result of ${DEVICE_NAMES[kind]}`,
      name,
      h(
        "p",
        { class: fine ? "verdict verdict-fine" : "verdict verdict-wrong" },
        fine ? icon("check") : null,
        fine ? "Every tensor lies within its bound of float64" : "Some tensors lie out of bounds",
      ),
      table("errors", ["tensor", "relative error", "bound", ""], errors.map(describeError), [1, 2]),
      h(
        "div",
        { class: "tiles" },
        worstError(errors),
        timeOf("kernels", statistics),
        backward === null ? null : timeOf("backward", backward),
        tile("schedule", statistics.schedule, plural(statistics.kernels, "dispatch").replace(/hs$/, "hes")),
        kind === "webgpu"
          ? tile("pipelines", formatMilliseconds(compileMs), "made by the browser, once")
          : null,
        reference,
        tile(
          "peak memory",
          formatBytes(statistics.peakBytes),
          `${formatBytes(statistics.workspaceBytes)} of it workspace`,
        ),
      ),
    ),
  ];
}

/** The error that takes most of its bound. */
function worstError(errors: readonly TensorError[]): HTMLElement | null {
  const [worst] = errors.toSorted((a, b) => b.error / b.bound - a.error / a.bound);
  if (worst === undefined) return null;
  const { tensor, error, bound } = worst;
  return tile(
    "worst error",
    formatError(error),
    `of ${tensor}: ${(error / bound).toPrecision(2)} of its bound`,
  );
}

function timeOf(label: string, { deviceMs, wallMs }: CallStatistics): HTMLElement {
  return deviceMs === null
    ? tile(label, formatMilliseconds(wallMs), "as the page saw it: no timestamps")
    : tile(label, formatMilliseconds(deviceMs), `of ${formatMilliseconds(wallMs)} in all`);
}

function describeError({ tensor, error, bound, ok }: TensorError): readonly (HTMLElement | string)[] {
  return [
    h("code", {}, tensor),
    h("span", { class: ok ? "fine" : "wrong", "data-error": String(error) }, formatError(error)),
    formatError(bound),
    errorMeter(error, bound),
  ];
}

/** Least error that the meter shows: one bit of float64 is less. */
const LEAST = 1e-9;

/** Error and bound on one logarithmic scale. */
function errorMeter(error: number, bound: number): HTMLElement {
  const place = (value: number): number => {
    const share = Math.log(Math.max(value, LEAST) / LEAST) / Math.log((10 * bound) / LEAST);
    return 100 * Math.min(1, Math.max(0.01, share));
  };
  const inner = h("span", { class: error <= bound ? "meter-error" : "meter-error meter-wrong" });
  inner.style.width = `${place(error)}%`;
  const mark = h("span", { class: "meter-bound" });
  mark.style.left = `${place(bound)}%`;
  return h("span", { class: "meter", "aria-hidden": "true" }, inner, mark);
}
