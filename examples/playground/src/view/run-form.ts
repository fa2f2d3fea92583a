import { field, h } from "../dom.ts";
import { RANGES, type RunSettings, within } from "../state/settings.ts";

export interface RunForm {
  readonly element: HTMLElement;
  refresh(): void;
  showLayer(shown: boolean): void;
}

interface RunFormParts {
  readonly settings: () => RunSettings;
  readonly change: (settings: RunSettings) => void;
}

const FIELDS = [
  ["batch", "Batch"],
  ["rows", "Query rows"],
  ["keys", "Keys"],
  ["seed", "Seed"],
  ["layer", "Layer"],
] as const satisfies readonly (readonly [keyof RunSettings, string])[];

/** Shape, seed and layer of a run. */
export function createRunForm({ settings, change }: RunFormParts): RunForm {
  const inputs = FIELDS.map(([name, label]) => {
    const input = numberInput(RANGES[name], (value) => change({ ...settings(), [name]: value }));
    return { name, input, element: field(label, input) };
  });
  const refresh = (): void => {
    for (const { name, input } of inputs) input.value = String(settings()[name]);
  };
  refresh();
  return {
    element: h("div", { class: "fields" }, ...inputs.map(({ element }) => element)),
    refresh,
    showLayer: (shown) => {
      for (const { name, element } of inputs) if (name === "layer") element.hidden = !shown;
    },
  };
}

/** A field for whole numbers of a range; what is typed beyond it is cut to it when the field is left. */
export function numberInput(
  range: readonly [number, number],
  act: (value: number) => void,
): HTMLInputElement {
  const input = h("input", { type: "number", min: range[0], max: range[1], step: 1, inputmode: "numeric" });
  const read = (): number => within(input.valueAsNumber, range, range[0]);
  input.addEventListener("input", () => {
    if (input.validity.valid && input.value !== "") act(read());
  });
  input.addEventListener("change", () => {
    input.value = String(read());
    act(read());
  });
  return input;
}
