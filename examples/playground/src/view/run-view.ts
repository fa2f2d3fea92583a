import { formatBytes } from "../../../../compiler/report/units.ts";
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
import { notice, section } from "./parts.ts";
import { estimateReference } from "./run-estimate.ts";
import { createRunForm } from "./run-form.ts";
import { describeRun } from "./run-result.ts";

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
  /** Told what the page computes with, or why with nothing. */
  readonly foundDevice: (device: DeviceReply | Problem) => void;
}

type Found =
  | { readonly kind: "unknown" }
  | { readonly kind: "found"; readonly device: DeviceReply }
  | { readonly kind: "none"; readonly problem: Problem };

/** Random inputs on the visitor's GPU, or processor, against the float64 reference. */
export class RunView {
  readonly element: HTMLElement;
  readonly #parts: RunParts;
  readonly #start = button({ class: "primary", "aria-keyshortcuts": "Control+Enter" }, () => void this.run());
  readonly #cancel = button({ class: "quiet" }, () => this.#stop(), icon("stop"), "Cancel");
  readonly #status = h("div", { class: "run-status", role: "status" });
  readonly #devicePlace = h("div");
  readonly #warning = h("div");
  readonly #outcome = h("div", { class: "run-outcome" });
  readonly #form;
  #subject: Subject | null = null;
  #found: Found = { kind: "unknown" };
  #state: "idle" | "running" | "cancelled" = "idle";

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#form = createRunForm({
      settings: parts.settings,
      change: (settings) => {
        const { device } = parts.settings();
        parts.change(settings);
        this.#update();
        if (settings.device !== device) void this.probe();
      },
    });
    this.element = h(
      "div",
      { class: "view" },
      section(
        "Run",
        "random inputs and parameters, compared with the float64 reference",
        this.#devicePlace,
        this.#form.element,
        this.#warning,
        h("div", { class: "run-buttons" }, this.#start, this.#cancel, this.#status),
      ),
      this.#outcome,
    );
    this.#update();
  }

  /** Null while there is nothing that could be run. */
  subject(next: Subject | null): void {
    this.#subject = next;
    this.#update();
  }

  /** Shows the settings anew: they came from elsewhere. */
  refresh(): void {
    this.#form.refresh();
    this.#update();
  }

  /** Looks for what the page can compute with. */
  async probe(): Promise<void> {
    const { numeric, foundDevice, settings } = this.#parts;
    try {
      const device = await numeric.call("open", settings().device);
      this.#found = { kind: "found", device };
      foundDevice(device);
    } catch (error) {
      if (error instanceof CancelledError) return;
      this.#found = { kind: "none", problem: problemOf(error) };
      foundDevice(this.#found.problem);
    }
    this.#update();
  }

  /** Runs, unless it runs already. */
  async run(): Promise<void> {
    if (this.#state !== "idle" || this.#start.disabled || this.#subject === null) return;
    this.#state = "running";
    this.#update();
    this.#cancel.focus({ preventScroll: true });
    fill(this.#outcome);
    this.#progress({ phase: "compiling kernels", share: null });
    try {
      const reply = await this.#compute(this.#subject);
      fill(this.#outcome, ...describeRun(reply));
      fill(this.#status, "Finished.");
    } catch (error) {
      const cancelled = error instanceof CancelledError;
      fill(this.#status, cancelled ? "Cancelled." : null);
      if (!cancelled) fill(this.#outcome, notice("error", problemOf(error)));
    } finally {
      const hadFocus = document.activeElement === this.#cancel;
      this.#state = "idle";
      this.#update();
      if (hadFocus) this.#start.focus({ preventScroll: true });
    }
  }

  async #compute({ pipeline, needsLayer, schedule }: Subject): Promise<RunReply> {
    const { numeric, compiler } = this.#parts;
    const { device: choice, batch, rows, keys, seed, layer, gradients } = this.#parts.settings();
    const shape = { B: batch, Lq: rows, Lk: keys, R: 0 };
    // A worker that was stopped has lost its device; the next one may find another.
    await this.probe();
    this.#checkWanted();
    const found = this.#found;
    const artifact =
      found.kind === "found"
        ? await compiler.call("emit", { pipeline, shape, schedule, gradients, device: found.device })
        : null;
    this.#checkWanted();
    return numeric.call(
      "run",
      { pipeline, shape, seed, layer: needsLayer ? layer : null, gradients, device: choice, artifact },
      (progress) => this.#progress(progress),
    );
  }

  #stop(): void {
    this.#state = "cancelled";
    this.#parts.numeric.cancel();
  }

  /** @throws CancelledError when the run was cancelled between two calls */
  #checkWanted(): void {
    if (this.#state === "cancelled") throw new CancelledError("cancelled");
  }

  #update(): void {
    const running = this.#state !== "idle";
    const subject = this.#subject;
    this.#form.showLayer(subject?.needsLayer ?? false);
    const estimate = subject === null ? null : estimateReference(subject.pipeline, this.#parts.settings());
    this.#start.disabled = running || subject === null || estimate?.verdict === "too much";
    fill(this.#start, icon("run"), this.#found.kind === "none" ? "Compute the reference" : "Run");
    this.#cancel.hidden = !running;
    const message = estimate?.message ?? null;
    const kind = estimate?.verdict === "too much" ? "error" : "info";
    fill(this.#warning, message === null ? null : notice(kind, { code: null, message, remedy: null }));
    fill(this.#devicePlace, describeDevice(this.#found));
  }

  #progress({ phase, share }: RunProgress): void {
    const meter = h("progress", { max: 1, "aria-label": phase });
    if (share !== null) meter.value = share;
    fill(this.#status, meter, `${phase}…`);
  }
}

function describeDevice(found: Found): HTMLElement {
  switch (found.kind) {
    case "unknown":
      return h("p", { class: "muted" }, "Looking for a GPU…");
    case "found":
      return h(
        "p",
        { class: "device-found", "data-device": found.device.kind },
        h("span", { class: "dot dot-fine", "aria-hidden": "true" }),
        found.device.name,
        h("span", { class: "muted" }, ` ${remarkOn(found.device)}`),
      );
    case "none":
      return notice("info", {
        code: null,
        message: `Nothing to run on here: ${found.problem.message}. The spec still compiles, and the reference and the maps work all the same.`,
        remedy: found.problem.remedy,
      });
  }
}

function remarkOn(device: DeviceReply): string {
  if (device.kind === "wasm")
    return device.reason === null ? "" : `The processor computes: ${device.reason}.`;
  const { workgroupBytes, features } = device.limits;
  return `${formatBytes(workgroupBytes)} of workgroup memory${features.includes("shader-f16") ? ", shader-f16" : ""}`;
}
