import { CUDA_ARCHITECTURES } from "../../../../compiler/plan/architectures.ts";
import { SCHEDULES } from "../../../../runtime/contract/index.ts";
import { field, h, type Option, select, setOptions } from "../dom.ts";
import type { Session } from "../session.ts";
import { RANGES, type TabName } from "../state/settings.ts";
import { numberInput } from "./run-form.ts";

export interface TargetBar {
  readonly element: HTMLElement;
  attentions(options: readonly Option[]): void;
  /** Shows what bears on a tab, and hides the rest. */
  show(tab: TabName): void;
  refresh(): void;
}

type FieldName = "attention" | "length" | "schedule" | "architecture";

/** What each tab depends on. */
const FIELDS: Readonly<Record<TabName, readonly FieldName[]>> = {
  pipeline: ["attention", "length"],
  plan: ["attention", "length", "schedule", "architecture"],
  wgsl: ["attention", "length", "schedule"],
  cuda: ["attention", "length", "schedule", "architecture"],
  run: ["attention", "schedule"],
  maps: ["attention"],
};

/** What is compiled, and for what: attention, length, schedule, CUDA architecture. */
export function createTargetBar(session: Session): TargetBar {
  const attention = select({}, [], (value) => session.change({ attention: value }));
  const length = numberInput(RANGES.length, (value) => session.change({ length: value }));
  const schedules = [
    { value: "", label: "planner's choice" },
    ...SCHEDULES.map((name) => ({ value: name, label: name })),
  ];
  const schedule = select({}, schedules, (value) =>
    session.change({ schedule: SCHEDULES.find((each) => each === value) ?? null }),
  );
  const architectures = CUDA_ARCHITECTURES.map(({ name }) => ({ value: name, label: name }));
  const architecture = select({}, architectures, (value) => session.change({ architecture: value }));
  const refresh = (): void => {
    const { settings } = session;
    length.value = String(settings.length);
    schedule.value = settings.schedule ?? "";
    architecture.value = settings.architecture;
    attention.value = session.attention?.name ?? "";
  };
  refresh();
  const fields: Readonly<Record<FieldName, HTMLElement>> = {
    attention: field("Attention", attention),
    length: field("Length", length),
    schedule: field("Schedule", schedule),
    architecture: field("CUDA", architecture),
  };
  return {
    element: h("div", { class: "target-bar" }, ...Object.values(fields)),
    show: (tab) => {
      for (const [name, element] of Object.entries(fields))
        element.hidden = !FIELDS[tab].some((each) => each === name);
    },
    attentions: (options) => {
      setOptions(attention, options);
      attention.value = session.attention?.name ?? "";
    },
    refresh,
  };
}
