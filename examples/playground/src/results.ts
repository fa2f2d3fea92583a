import { fill, h, type Option } from "./dom.ts";
import type { Session } from "./session.ts";
import { TABS, type TabName } from "./state/settings.ts";
import { createCodeTab, cudaGroups, wgslGroups } from "./view/code-tab.ts";
import { createMapsView } from "./view/maps-view.ts";
import { type Follow, notice } from "./view/parts.ts";
import { createPipelineView } from "./view/pipeline-view.ts";
import { createPlanView } from "./view/plan-view.ts";
import { createRunView } from "./view/run-view.ts";
import { createTabs } from "./view/tabs.ts";
import { createTargetBar } from "./view/target-bar.ts";
import type { AnalysisReply, AttentionSummary, CompileReply, DeviceReply } from "./worker/protocol.ts";
import type { Problem } from "./worker/rpc.ts";

/** Everything right of the editor. */
export interface Results {
  readonly element: HTMLElement;
  analysed(reply: AnalysisReply): void;
  compiled(reply: CompileReply, attention: AttentionSummary): void;
  failed(problem: Problem): void;
  /** Shows the settings anew: they came from elsewhere. */
  refresh(): void;
  /** Shows the run and starts it. */
  run(): void;
  /** Puts the focus on the tab that is shown. */
  focus(): void;
  /** Looks for a GPU. */
  probe(): void;
}

const LABELS: Readonly<Record<TabName, string>> = {
  pipeline: "Pipeline",
  plan: "Plan",
  wgsl: "WGSL",
  cuda: "CUDA",
  run: "Run",
  maps: "Maps",
};

export function createResults(
  session: () => Session,
  follow: Follow,
  foundDevice: (device: DeviceReply | Problem) => void,
): Results {
  const wgsl = createCodeTab({ label: "WGSL", follow, groupsOf: wgslGroups, tool: null });
  const cuda = createCodeTab({ label: "CUDA", follow, groupsOf: cudaGroups, tool: null });
  const openKernel = (target: "webgpu" | "cuda", file: string): void => {
    tabs.choose(target === "cuda" ? "cuda" : "wgsl");
    (target === "cuda" ? cuda : wgsl).open(file);
  };
  const compiledViews = {
    pipeline: createPipelineView(follow),
    plan: createPlanView({ follow, openKernel }),
    wgsl,
    cuda,
  };
  const { compiler, numeric, maps: mapsWorker } = session();
  const run = createRunView({
    compiler,
    numeric,
    settings: () => session().settings.run,
    change: (settings) => session().change({ run: settings }),
    foundDevice,
  });
  const maps = createMapsView({
    numeric: mapsWorker,
    settings: () => session().settings.maps,
    change: (settings) => session().change({ maps: settings }),
  });
  const views: Readonly<Record<TabName, { readonly element: HTMLElement }>> = { ...compiledViews, run, maps };
  const panels = new Map(
    TABS.map((name) => [
      name,
      h("div", { class: "panel", hidden: true, "data-panel": name }, views[name].element),
    ]),
  );
  const bar = createTargetBar(session);
  const state = h("div", { class: "results-state" });
  const waiting = h("div", { class: "waiting", role: "status" }, "Compiling…");
  const body = h("div", { class: "panels", hidden: true }, ...panels.values());

  const tabs = createTabs({
    label: "results",
    className: "tabs",
    panelOf: (id) => panelNamed(panels, id),
    chose: (id) => {
      const tab = TABS.find((name) => name === id);
      if (tab === undefined) return;
      for (const [name, panel] of panels) panel.hidden = name !== tab;
      maps.visible(tab === "maps");
      if (session().settings.tab !== tab) session().change({ tab });
    },
  });
  const initial = session().settings.tab;
  tabs.set(TABS.map((name) => ({ id: name, label: LABELS[name] })));
  tabs.choose(initial);

  return {
    element: h(
      "section",
      { class: "results", "aria-label": "results" },
      h("div", { class: "results-head" }, tabs.list, bar.element),
      state,
      waiting,
      body,
    ),
    analysed: ({ attentions, sound }) => {
      body.classList.toggle("stale", !sound);
      if (!sound) {
        fill(state, notice("info", body.hidden ? BROKEN : STALE));
        waiting.hidden = true;
        run.subject(null);
        return;
      }
      bar.attentions(attentions.map(({ name }): Option => ({ value: name, label: name })));
      fill(state, attentions.length === 0 ? notice("info", EMPTY) : null);
      if (attentions.length === 0) body.hidden = true;
      waiting.hidden = !body.hidden || attentions.length === 0;
    },
    compiled: (reply, attention) => {
      waiting.hidden = true;
      body.hidden = false;
      body.classList.remove("stale");
      fill(state);
      for (const view of Object.values(compiledViews)) view.show(reply);
      const { pipeline } = reply;
      run.subject({ pipeline, needsLayer: attention.needsLayer, schedule: session().settings.schedule });
      maps.subject(pipeline);
    },
    failed: (problem) => {
      waiting.hidden = true;
      fill(state, notice("error", problem));
      body.classList.add("stale");
    },
    refresh: () => {
      bar.refresh();
      run.refresh();
      maps.refresh();
      tabs.choose(session().settings.tab);
    },
    run: () => {
      tabs.choose("run");
      void run.run();
    },
    focus: () => {
      const selected = tabs.list.querySelector("[aria-selected='true']");
      if (selected instanceof HTMLElement) selected.focus();
    },
    probe: () => void run.probe(),
  };
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
