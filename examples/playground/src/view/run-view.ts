import type { TensorError } from "../../../../compiler/execution/comparison.ts";
import { formatBytes, formatError, formatMilliseconds, plural } from "../../../../compiler/units.ts";
import type { Pipeline, Schedule } from "../../../../runtime/contract/index.ts";
import { button, fill, h, icon } from "../dom.ts";
import type { RunSettings } from "../state/settings.ts";
import type {
  CompilerMethods,
  DeviceReply,
  NumericMethods,
  RunProgress,
  RunReply,
} from "../worker/protocol.ts";
import { CancelledError, type Problem, problemOf, type WorkerClient } from "../worker/rpc.ts";
import { notice, section, table, tile } from "./parts.ts";
import { estimateReference } from "./run-estimate.ts";
import { createRunForm } from "./run-form.ts";

/** What is to be run: the attention that was compiled last. */
export interface Subject {
  readonly pipeline: Pipeline;
  readonly needsLayer: boolean;
  readonly schedule: Schedule | null;
}

export interface RunParts {
  readonly compiler: WorkerClient<CompilerMethods>;
  readonly numeric: WorkerClient<NumericMethods>;
  readonly settings: () => RunSettings;
  readonly change: (settings: RunSettings) => void;
  /** Told what GPU there is, or why none. */
  readonly foundDevice: (device: DeviceReply | Problem) => void;
}

export interface RunView {
  readonly element: HTMLElement;
  /** Null while there is nothing that could be run. */
  subject(next: Subject | null): void;
  /** Shows the settings anew: they came from elsewhere. */
  refresh(): void;
  /** Runs, unless it runs already. */
  run(): Promise<void>;
  /** Looks for a GPU. */
  probe(): Promise<void>;
}

type Gpu =
  | { readonly kind: "unknown" }
  | { readonly kind: "found"; readonly device: DeviceReply }
  | { readonly kind: "none"; readonly problem: Problem };

/** Random inputs on the visitor's GPU against the float64 reference. */
export function createRunView(parts: RunParts): RunView {
  const { compiler, numeric } = parts;
  let subject: Subject | null = null;
  let gpu: Gpu = { kind: "unknown" };
  let running = false;

  const start = button({ class: "primary", "aria-keyshortcuts": "Control+Enter" }, () => void run());
  const cancel = button({ class: "quiet", hidden: true }, () => numeric.cancel(), icon("stop"), "Cancel");
  const status = h("div", { class: "run-status", role: "status" });
  const gpuPlace = h("div");
  const warning = h("div");
  const outcome = h("div", { class: "run-outcome" });
  const form = createRunForm({
    settings: parts.settings,
    change: (settings) => {
      parts.change(settings);
      update();
    },
  });

  const update = (): void => {
    form.showLayer(subject?.needsLayer ?? false);
    const estimate = subject === null ? null : estimateReference(subject.pipeline, parts.settings());
    start.disabled = running || subject === null || estimate?.verdict === "too much";
    fill(start, icon("run"), gpu.kind === "none" ? "Compute the reference" : "Run");
    cancel.hidden = !running;
    const message = estimate?.message ?? null;
    const kind = estimate?.verdict === "too much" ? "error" : "info";
    fill(warning, message === null ? null : notice(kind, { code: null, message, remedy: null }));
    fill(gpuPlace, describeGpu(gpu));
  };

  const probe = async (): Promise<void> => {
    try {
      const device = await numeric.call("open", null);
      gpu = { kind: "found", device };
      parts.foundDevice(device);
    } catch (error) {
      if (error instanceof CancelledError) return;
      gpu = { kind: "none", problem: problemOf(error) };
      parts.foundDevice(gpu.problem);
    }
    update();
  };

  const compute = async ({ pipeline, needsLayer, schedule }: Subject): Promise<RunReply> => {
    const { batch, rows, keys, seed, layer } = parts.settings();
    const shape = { B: batch, Lq: rows, Lk: keys, R: 0 };
    // A worker that was stopped has lost its device; the next one may find another.
    await probe();
    const artifact =
      gpu.kind === "found"
        ? await compiler.call("emit", { pipeline, shape, schedule, limits: gpu.device.limits })
        : null;
    return numeric.call(
      "run",
      { pipeline, shape, seed, layer: needsLayer ? layer : null, artifact },
      (progress) => showProgress(status, progress),
    );
  };

  async function run(): Promise<void> {
    if (running || start.disabled || subject === null) return;
    running = true;
    update();
    cancel.focus({ preventScroll: true });
    fill(outcome);
    showProgress(status, { phase: "compiling kernels", share: null });
    try {
      const reply = await compute(subject);
      fill(outcome, ...describeRun(reply));
      fill(status, "Finished.");
    } catch (error) {
      if (error instanceof CancelledError) fill(status, "Cancelled.");
      else {
        fill(status);
        fill(outcome, notice("error", problemOf(error)));
      }
    } finally {
      const hadFocus = document.activeElement === cancel;
      running = false;
      update();
      if (hadFocus) start.focus({ preventScroll: true });
    }
  }

  update();
  return {
    element: h(
      "div",
      { class: "view" },
      section(
        "Run",
        "random inputs and parameters, compared with the float64 reference",
        gpuPlace,
        form.element,
        warning,
        h("div", { class: "run-buttons" }, start, cancel, status),
      ),
      outcome,
    ),
    subject: (next) => {
      subject = next;
      update();
    },
    refresh: () => {
      form.refresh();
      update();
    },
    run,
    probe,
  };
}

function describeGpu(gpu: Gpu): HTMLElement {
  switch (gpu.kind) {
    case "unknown":
      return h("p", { class: "muted" }, "Looking for a GPU…");
    case "found":
      return h(
        "p",
        { class: "gpu-found" },
        h("span", { class: "dot dot-fine", "aria-hidden": "true" }),
        gpu.device.name,
        h(
          "span",
          { class: "muted" },
          ` ${formatBytes(gpu.device.limits.workgroupBytes)} of workgroup memory${gpu.device.limits.features.includes("shader-f16") ? ", shader-f16" : ""}`,
        ),
      );
    case "none":
      return notice("info", {
        code: null,
        message: `No WebGPU here: ${gpu.problem.message}. The spec still compiles, and the reference and the maps work without a GPU.`,
        remedy: gpu.problem.remedy,
      });
  }
}

function showProgress(place: HTMLElement, { phase, share }: RunProgress): void {
  const meter = h("progress", { max: 1, "aria-label": phase });
  if (share !== null) meter.value = share;
  fill(place, meter, `${phase}…`);
}

function describeRun({ device, referenceMs }: RunReply): readonly HTMLElement[] {
  const reference = tile("reference", formatMilliseconds(referenceMs), "float64 on the processor");
  if (device === null)
    return [
      section(
        "Result",
        null,
        h("p", {}, "The float64 reference is finite; nothing ran on a GPU."),
        h("div", { class: "tiles" }, reference),
      ),
    ];
  const { statistics, errors, compileMs, name } = device;
  const fine = errors.every(({ ok }) => ok);
  const kernelTime = statistics.deviceMs;
  return [
    section(
      "Result",
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
        tile(
          "kernels",
          kernelTime === null ? formatMilliseconds(statistics.wallMs) : formatMilliseconds(kernelTime),
          kernelTime === null
            ? "as the page saw it: no timestamps"
            : `of ${formatMilliseconds(statistics.wallMs)} in all`,
        ),
        tile("schedule", statistics.schedule, plural(statistics.kernels, "dispatch").replace(/hs$/, "hes")),
        tile("pipelines", formatMilliseconds(compileMs), "made by the browser, once"),
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
