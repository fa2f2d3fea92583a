import type { Target } from "../../../runtime/contract/index.ts";
import { fill, h, type Option } from "./dom.ts";
import type { Session } from "./session.ts";
import { TABS, type TabName } from "./state/settings.ts";
import { createCodeTab, cudaGroups, wgslGroups } from "./view/code-tab.ts";
import { MapsView } from "./view/maps-view.ts";
import { type Follow, notice } from "./view/parts.ts";
import { createPipelineView, type View } from "./view/pipeline-view.ts";
import { createPlanView } from "./view/plan-view.ts";
import { RunView } from "./view/run-view.ts";
import { createTabs, type Tabs } from "./view/tabs.ts";
import { createTargetBar, type TargetBar } from "./view/target-bar.ts";
import type { AnalysisReply, AttentionSummary, CompileReply, DeviceReply } from "./worker/protocol.ts";
import type { Problem } from "./worker/rpc.ts";

const LABELS: Readonly<Record<TabName, string>> = {
  pipeline: "Pipeline",
  plan: "Plan",
  wgsl: "WGSL",
  cuda: "CUDA",
  run: "Run",
  maps: "Maps",
};

/** Everything right of the editor. */
export class Results {
  readonly element: HTMLElement;
  readonly #session: Session;
  readonly #compiledViews: Readonly<Record<"pipeline" | "plan" | "wgsl" | "cuda", View>>;
  readonly #run: RunView;
  readonly #maps: MapsView;
  readonly #bar: TargetBar;
  readonly #tabs: Tabs;
  readonly #panels: ReadonlyMap<string, HTMLElement>;
  readonly #state = h("div", { class: "results-state" });
  readonly #waiting = h("div", { class: "waiting", role: "status" }, "Compiling…");
  readonly #body: HTMLElement;

  /** @param foundDevice told what the page computes with, or why with nothing */
  constructor(session: Session, follow: Follow, foundDevice: (device: DeviceReply | Problem) => void) {
    this.#session = session;
    const wgsl = createCodeTab({ label: "WGSL", follow, groupsOf: wgslGroups });
    const cuda = createCodeTab({ label: "CUDA", follow, groupsOf: cudaGroups });
    const openKernel = (target: Target, file: string): void => {
      this.#tabs.choose(target === "cuda" ? "cuda" : "wgsl");
      (target === "cuda" ? cuda : wgsl).open(file);
    };
    const plan = createPlanView({ follow, openKernel });
    this.#compiledViews = { pipeline: createPipelineView(follow), plan, wgsl, cuda };
    this.#run = new RunView({
      compiler: session.compiler,
      numeric: session.numeric,
      settings: () => session.settings.run,
      change: (run) => session.change({ run }),
      foundDevice,
    });
    this.#maps = new MapsView({
      numeric: session.maps,
      settings: () => session.settings.maps,
      change: (maps) => session.change({ maps }),
    });
    const views = { ...this.#compiledViews, run: this.#run, maps: this.#maps };
    this.#panels = new Map(
      TABS.map((name) => [
        name,
        h("div", { class: "panel", hidden: true, "data-panel": name }, views[name].element),
      ]),
    );
    this.#bar = createTargetBar(session);
    this.#body = h("div", { class: "panels", hidden: true }, ...this.#panels.values());
    this.#tabs = this.#makeTabs(session.settings.tab);
    this.element = h(
      "section",
      { class: "results", "aria-label": "results" },
      h("div", { class: "results-head" }, this.#tabs.list, this.#bar.element),
      this.#state,
      this.#waiting,
      this.#body,
    );
  }

  analysed({ attentions, sound }: AnalysisReply): void {
    this.#body.classList.toggle("stale", !sound);
    if (!sound) {
      fill(this.#state, notice("info", this.#body.hidden ? BROKEN : STALE));
      this.#waiting.hidden = true;
      this.#run.subject(null);
      return;
    }
    this.#bar.attentions(attentions.map(({ name }): Option => ({ value: name, label: name })));
    const empty = attentions.length === 0;
    fill(this.#state, empty ? notice("info", EMPTY) : null);
    if (empty) {
      this.#body.hidden = true;
      this.#run.subject(null);
    }
    this.#waiting.hidden = !this.#body.hidden || empty;
  }

  compiled(reply: CompileReply, { needsLayer }: AttentionSummary): void {
    const { pipeline } = reply;
    this.#waiting.hidden = true;
    this.#body.hidden = false;
    this.#body.classList.remove("stale");
    fill(this.#state);
    for (const view of Object.values(this.#compiledViews)) view.show(reply);
    this.#run.subject({ pipeline, needsLayer, schedule: this.#session.settings.schedule });
    this.#maps.subject(pipeline);
  }

  failed(problem: Problem): void {
    this.#waiting.hidden = true;
    this.#body.classList.add("stale");
    fill(this.#state, notice("error", problem));
  }

  /** Shows the settings anew: they came from elsewhere. */
  refresh(): void {
    this.#bar.refresh();
    this.#run.refresh();
    this.#maps.refresh();
    this.#tabs.choose(this.#session.settings.tab);
  }

  /** Shows the run and starts it. */
  run(): void {
    this.#tabs.choose("run");
    void this.#run.run();
  }

  /** Looks for what the page can compute with. */
  probe(): void {
    void this.#run.probe();
  }

  /** Puts the focus on the tab that is shown. */
  focus(): void {
    const selected = this.#tabs.list.querySelector("[aria-selected='true']");
    if (selected instanceof HTMLElement) selected.focus();
  }

  #makeTabs(first: TabName): Tabs {
    const tabs = createTabs({
      label: "results",
      className: "tabs",
      panelOf: (id) => panelNamed(this.#panels, id),
      chose: (id) => this.#show(id),
    });
    tabs.set(
      TABS.map((name) => ({ id: name, label: LABELS[name] })),
      first,
    );
    return tabs;
  }

  #show(id: string): void {
    const tab = TABS.find((name) => name === id);
    if (tab === undefined) return;
    for (const [name, panel] of this.#panels) panel.hidden = name !== tab;
    this.#bar.show(tab);
    this.#maps.visible(tab === "maps");
    if (this.#session.settings.tab !== tab) this.#session.change({ tab });
  }
}

const STALE: Problem = {
  code: null,
  message: "The spec has errors: this is what compiled last.",
  remedy: null,
};

const BROKEN: Problem = {
  code: null,
  message: "The spec has errors: its problems are listed below the editor.",
  remedy: null,
};

const EMPTY: Problem = {
  code: null,
  message: "The spec declares no attention yet.",
  remedy: "begin with `attention NAME { heads 8  head_dim 64 }`, or take an example",
};

function panelNamed(panels: ReadonlyMap<string, HTMLElement>, id: string): HTMLElement {
  const panel = panels.get(id);
  if (panel === undefined) throw new RangeError(`there is no panel ${id}`);
  return panel;
}
