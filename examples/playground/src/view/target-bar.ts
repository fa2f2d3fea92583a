import { CUDA_ARCHITECTURES } from "../../../../compiler/plan/architectures.ts";
import { SCHEDULES } from "../../../../runtime/contract/index.ts";
import { field, h, type Option, select, setOptions } from "../dom.ts";
import type { Session } from "../session.ts";
import { RANGES } from "../state/settings.ts";
import { numberInput } from "./run-form.ts";

export interface TargetBar {
  readonly element: HTMLElement;
  attentions(options: readonly Option[]): void;
  refresh(): void;
}

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
  return {
    element: h(
      "div",
      { class: "target-bar" },
      field("Attention", attention),
      field("Length", length),
      field("Schedule", schedule),
      field("CUDA", architecture),
    ),
    attentions: (options) => {
      setOptions(attention, options);
      attention.value = session.attention?.name ?? "";
    },
    refresh,
  };
}
