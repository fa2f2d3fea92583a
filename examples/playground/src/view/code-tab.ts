import { formatBytes } from "../../../../compiler/report/units.ts";
import type { Plan, SourceLine } from "../../../../runtime/contract/index.ts";
import { button, fill, h, icon, type Option, select, setOptions } from "../dom.ts";
import { createCodeView } from "../editor/code-view.ts";
import type { Attempt, CompileReply } from "../worker/protocol.ts";
import { type Follow, notice, specLink } from "./parts.ts";
import type { View } from "./pipeline-view.ts";
import { createTabs } from "./tabs.ts";

/** Files of one kind of device. */
export interface FileGroup {
  readonly label: string;
  readonly files: readonly CodeFile[];
}

export interface CodeFile {
  readonly name: string;
  /** What its tab says. */
  readonly label: string;
  readonly text: string;
  readonly source: SourceLine | null;
}

export interface CodeTab extends View {
  /** Shows a file by its name, where there is one. */
  open(file: string): void;
}

interface CodeTabParts {
  readonly label: string;
  readonly follow: Follow;
  readonly groupsOf: (reply: CompileReply) => Attempt<readonly FileGroup[]>;
}

/** Emitted files: a list of devices, a tab for each file of one, and its text. */
export function createCodeTab({ label, follow, groupsOf }: CodeTabParts): CodeTab {
  const code = createCodeView(label, follow);
  const panel = h("div", { class: "code-panel" }, code.element);
  const trouble = h("div");
  const source = h("span", { class: "code-source" });
  let groups: readonly FileGroup[] = [];
  let group = 0;

  const fileNamed = (name: string): CodeFile | undefined =>
    groups[group]?.files.find((file) => file.label === name);
  const tabs = createTabs({
    label: `${label}: files`,
    className: "file-tabs",
    panelOf: () => panel,
    chose: (name) => {
      const file = fileNamed(name);
      if (file === undefined) return;
      code.show(file.name, file.text);
      fill(source, specLink(file.source, follow));
    },
  });
  const showGroup = (): void => {
    tabs.set(
      (groups[group]?.files ?? []).map((file) => ({ id: file.label, label: file.label, title: file.name })),
    );
    const chosen = tabs.chosen();
    if (chosen !== null) tabs.choose(chosen);
  };
  const devices = select({ "aria-label": "device" }, [], (value) => {
    group = Number(value);
    showGroup();
  });
  const copy = copyButton(() => code.text());
  const bar = h("div", { class: "code-bar" }, tabs.list, h("div", { class: "code-tools" }, source, copy));
  const tools = h("div", { class: "view-tools" }, devices);

  return {
    element: h("div", { class: "view view-code" }, tools, trouble, bar, panel),
    show: (reply) => {
      const made = groupsOf(reply);
      groups = made.ok ? made.value : [];
      fill(trouble, made.ok ? null : notice("error", made.problem));
      bar.hidden = !made.ok;
      panel.hidden = !made.ok;
      group = Math.min(group, Math.max(0, groups.length - 1));
      tools.hidden = groups.length < 2;
      setOptions(
        devices,
        groups.map((each, index): Option => ({ value: String(index), label: each.label })),
      );
      devices.value = String(group);
      showGroup();
    },
    open: (name) => {
      const found = groups.findIndex(({ files }) => files.some((file) => file.name === name));
      if (found < 0) return;
      group = found;
      devices.value = String(found);
      showGroup();
      const file = groups[found]?.files.find((each) => each.name === name);
      if (file !== undefined) tabs.choose(file.label);
    },
  };
}

function copyButton(text: () => string): HTMLButtonElement {
  const word = h("span", {}, "Copy");
  let rest: ReturnType<typeof setTimeout> | undefined;
  return button(
    { class: "quiet" },
    async () => {
      try {
        await navigator.clipboard.writeText(text());
        word.textContent = "Copied";
      } catch {
        word.textContent = "Not allowed";
      }
      // What an earlier click said ends with it.
      clearTimeout(rest);
      rest = setTimeout(() => {
        word.textContent = "Copy";
      }, 1500);
    },
    icon("copy"),
    word,
  );
}

/** The kernels of a WebGPU artifact, a group for each plan. */
export function wgslGroups({ wgsl }: CompileReply): Attempt<readonly FileGroup[]> {
  if (!wgsl.ok) return wgsl;
  const { plans, sources } = wgsl.value;
  return {
    ok: true,
    value: plans.map((plan) => ({
      label: describeDevice(plan),
      files: plan.kernels.map(({ name, file, source }) => ({
        name: file,
        label: name,
        text: sources[file] ?? "",
        source,
      })),
    })),
  };
}

function describeDevice({ requires, schedule, storage }: Plan): string {
  const features = requires.features.length === 0 ? "" : `, ${requires.features.join(", ")}`;
  return `${schedule}, ${storage}: needs ${formatBytes(requires.workgroupBytes)} of workgroup memory${features}`;
}

/** The files for C and C++: one group. */
export function cudaGroups({ cudaFiles }: CompileReply): Attempt<readonly FileGroup[]> {
  if (!cudaFiles.ok) return cudaFiles;
  const { files, plans } = cudaFiles.value;
  const sourceOf = (file: string): SourceLine | null =>
    plans.find(({ kernels }) => kernels.some((kernel) => kernel.file === file))?.pipeline.source ?? null;
  return {
    ok: true,
    value: [
      {
        label: "CUDA",
        files: Object.entries(files).map(([name, text]) => ({
          name,
          label: name,
          text,
          source: sourceOf(name),
        })),
      },
    ],
  };
}
