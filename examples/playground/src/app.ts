import { formatMilliseconds } from "../../../compiler/report/units.ts";
import { button, fill, h, icon, select } from "./dom.ts";
import { createEditor, type SpecEditor } from "./editor/editor.ts";
import { Results } from "./results.ts";
import { Session } from "./session.ts";
import { EXAMPLES } from "./state/examples.ts";
import { DEFAULTS, type Settings } from "./state/settings.ts";
import { encodeSettings, LinkError } from "./state/share.ts";
import { createAppearanceButton } from "./view/appearance.ts";
import { createHelp } from "./view/help.ts";
import { createProblems, type Problems } from "./view/problems.ts";
import type { DeviceReply } from "./worker/protocol.ts";
import type { Problem } from "./worker/rpc.ts";

/** A pause in changes after which the address carries them. */
const ADDRESS_MS = 400;

/** How long a passing message stays. */
const TOAST_MS = 3500;

/** The whole page. */
export class App {
  readonly element: HTMLElement;
  readonly #session: Session;
  readonly #editor: SpecEditor;
  readonly #results: Results;
  readonly #problems: Problems;
  readonly #help = createHelp();
  readonly #toast = h("div", { class: "toast", role: "status" });
  readonly #state = h("span", { class: "compile-state", role: "status" });
  readonly #device = h("span", { class: "device-chip" }, "Device …");
  #address: ReturnType<typeof setTimeout> | undefined;
  #toastEnds: ReturnType<typeof setTimeout> | undefined;

  /** @param trouble why the link that the page was opened with could not be read, else null */
  constructor(settings: Settings, trouble: string | null) {
    const follow = (line: number, column = 1): void => this.#editor.goTo(line, column);
    this.#problems = createProblems(follow);
    this.#session = new Session(settings, {
      analysed: (reply) => {
        this.#editor.show(reply.diagnostics);
        this.#problems.show(reply.diagnostics);
        this.#results.analysed(reply);
        if (!reply.sound || reply.attentions.length === 0) fill(this.#state, "not compiled");
      },
      compiled: (reply, attention) => {
        this.#results.compiled(reply, attention);
        fill(this.#state, `compiled in ${formatMilliseconds(reply.milliseconds)}`);
      },
      failed: (problem) => this.#results.failed(problem),
      settingsChanged: () => this.#changed(),
    });
    const { language } = this.#session;
    this.#editor = createEditor(settings.spec, {
      complete: (text, offset) => language.call("complete", { text, offset }),
      hover: (text, offset) => language.call("hover", { text, offset }),
      changed: (spec) => this.#session.change({ spec }),
    });
    this.#results = new Results(this.#session, follow, (device) => this.#showDevice(device));
    this.element = h("div", { class: "app" }, this.#header(), this.#workbench(), this.#help, this.#toast);
    document.addEventListener("keydown", (event) => this.#key(event));
    if (trouble !== null) this.#say(trouble);
  }

  /** Starts the compiler and looks for a device. */
  start(): void {
    this.#session.refresh();
    this.#results.probe();
  }

  /** Takes settings from elsewhere: a link, an example. */
  load(settings: Settings, trouble: string | null = null): void {
    if (trouble !== null) this.#say(trouble);
    this.#session.change(settings);
    this.#editor.replace(settings.spec);
    this.#results.refresh();
    this.#session.refresh();
  }

  #header(): HTMLElement {
    const examples = select(
      { "aria-label": "examples", class: "examples" },
      [{ value: "", label: "Examples" }, ...EXAMPLES.map(({ name }) => ({ value: name, label: name }))],
      (chosen) => {
        const example = EXAMPLES.find(({ name }) => name === chosen);
        examples.value = "";
        if (example === undefined) return;
        const { tab } = this.#session.settings;
        this.load({ ...DEFAULTS, tab, spec: example.text });
      },
    );
    return h(
      "header",
      { class: "topbar" },
      h(
        "span",
        { class: "brand" },
        logo(),
        h("strong", {}, "mtac"),
        h("span", { class: "brand-sub" }, "playground"),
      ),
      h("span", { class: "spacer" }),
      this.#device,
      examples,
      button(
        { class: "quiet", title: "Format the spec (Shift+Alt+F)" },
        () => void this.#format(),
        icon("format"),
        h("span", { class: "word" }, "Format"),
      ),
      button(
        { class: "quiet", title: "Copy a link to this spec" },
        () => void this.#share(),
        icon("link"),
        h("span", { class: "word" }, "Share"),
      ),
      createAppearanceButton(),
      button(
        { class: "quiet icon-only", "aria-label": "Keys", title: "Keys (?)" },
        () => this.#help.showModal(),
        icon("help"),
      ),
    );
  }

  #workbench(): HTMLElement {
    return h(
      "main",
      { class: "workbench" },
      h(
        "section",
        { class: "source", "aria-label": "spec" },
        h("div", { class: "source-head" }, h("span", { class: "file" }, "spec.mta"), this.#state),
        h("div", { class: "source-editor" }, this.#editor.element),
        this.#problems.element,
      ),
      this.#results.element,
    );
  }

  #key(event: KeyboardEvent): void {
    const typing =
      event.target instanceof Element &&
      event.target.closest("input, select, textarea, [contenteditable='true']") !== null;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#results.run();
    else if (event.code === "KeyF" && event.shiftKey && event.altKey) void this.#format();
    else if (event.key === "F6") this.#switchPane();
    else if (event.key === "?" && !typing && !this.#help.open) this.#help.showModal();
    else return;
    event.preventDefault();
  }

  #switchPane(): void {
    const editing = this.#editor.element.contains(document.activeElement);
    if (editing) this.#results.focus();
    else this.#editor.focus();
  }

  async #format(): Promise<void> {
    const text = this.#editor.text();
    const formatted = await this.#session.language.call("format", text);
    if (formatted === null) this.#say("The spec has syntax errors: it stays as it is.");
    else if (this.#editor.text() === text) this.#editor.replace(formatted);
  }

  async #share(): Promise<void> {
    try {
      await this.#writeAddress();
      await navigator.clipboard.writeText(location.href);
      this.#say("The link is copied.");
    } catch (error) {
      this.#say(
        error instanceof LinkError ? `No link: ${error.message}.` : "The link is in the address bar.",
      );
    }
  }

  #showDevice(device: DeviceReply | Problem): void {
    const found = "kind" in device;
    const dot = h("span", { class: `dot ${found ? "dot-fine" : "dot-warning"}`, "aria-hidden": "true" });
    const name = found && device.kind === "webgpu" ? "WebGPU" : "WebAssembly";
    fill(this.#device, dot, found ? name : "No device");
  }

  #changed(): void {
    clearTimeout(this.#address);
    this.#address = setTimeout(() => {
      // A spec that is too long for a link says so when somebody shares it.
      this.#writeAddress().catch(() => undefined);
    }, ADDRESS_MS);
  }

  async #writeAddress(): Promise<void> {
    const fragment = await encodeSettings(this.#session.settings);
    history.replaceState(null, "", `#${fragment}`);
  }

  #say(message: string): void {
    clearTimeout(this.#toastEnds);
    fill(this.#toast, message);
    this.#toast.classList.add("shown");
    this.#toastEnds = setTimeout(() => this.#toast.classList.remove("shown"), TOAST_MS);
  }
}

/** A lower triangle of squares: what a causal map looks like. */
function logo(): HTMLElement {
  return h("span", { class: "logo", "aria-hidden": "true" }, ...Array.from({ length: 9 }, () => h("span")));
}
