import { checkbox, field, h, select } from "../dom.ts";
import { DEVICE_CHOICES, type DeviceChoice, RANGES, type RunSettings, within } from "../state/settings.ts";

export interface RunForm {
  readonly element: HTMLElement;
  refresh(): void;
  showLayer(shown: boolean): void;
}

interface RunFormParts {
  readonly settings: () => RunSettings;
  readonly change: (settings: RunSettings) => void;
}

/** What the device's list says of each choice. */
const CHOICES: Readonly<Record<DeviceChoice, string>> = {
  auto: "GPU, else processor",
  webgpu: "GPU (WebGPU)",
  wasm: "processor (WebAssembly)",
};

const FIELDS = [
  ["batch", "Batch"],
  ["rows", "Query rows"],
  ["keys", "Keys"],
  ["seed", "Seed"],
  ["layer", "Layer"],
] as const satisfies readonly (readonly [Exclude<keyof RunSettings, "device" | "gradients">, string])[];

/** Device, shape, seed and layer of a run. */
export function createRunForm({ settings, change }: RunFormParts): RunForm {
  const inputs = FIELDS.map(([name, label]) => {
    const input = numberInput(RANGES[name], (value) => change({ ...settings(), [name]: value }));
    return { name, input, element: field(label, input) };
  });
  const options = DEVICE_CHOICES.map((value) => ({ value, label: CHOICES[value] }));
  const device = select({}, options, (value) => {
    const chosen = DEVICE_CHOICES.find((each) => each === value);
    if (chosen !== undefined) change({ ...settings(), device: chosen });
  });
  const gradients = checkbox((value) => change({ ...settings(), gradients: value }));
  const refresh = (): void => {
    device.value = settings().device;
    gradients.checked = settings().gradients;
    for (const { name, input } of inputs) input.value = String(settings()[name]);
  };
  refresh();
  return {
    element: h(
      "div",
      { class: "fields" },
      field("Device", device),
      ...inputs.map(({ element }) => element),
      field("Gradients", gradients),
    ),
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
