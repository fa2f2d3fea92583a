// The playground's checks of what it computes on: the GPU where there is one, else the processor, on threads where pages may have them;
// the reference alone where there is neither.
import { DEFAULTS, DEVICE_NAMES, type DeviceChoice } from "../../examples/playground/src/state/settings.ts";
import { attempt, report } from "./checks.ts";
import { openSpec, type PageOptions, type Site, SMALL, showTab } from "./playground-page.ts";
import { readErrors } from "./playground-run.ts";

interface Case {
  readonly name: string;
  readonly choice: DeviceChoice;
  readonly without?: PageOptions["without"];
  readonly isolated?: true;
  readonly device: keyof typeof DEVICE_NAMES;
  /** How what the page says of it ends. */
  readonly says: (cores: number) => string;
}

/** The browser's GPU is a software one. */
const CASES: readonly Case[] = [
  {
    name: "the GPU that was asked for",
    choice: "webgpu",
    device: "webgpu",
    says: () => "32 KiB of workgroup memory",
  },
  {
    name: "a software GPU",
    choice: "auto",
    device: "wasm",
    says: () => "1 thread\nThe processor computes: the GPU is a software one.",
  },
  {
    name: "without WebGPU",
    choice: "auto",
    without: ["WebGPU"],
    device: "wasm",
    says: () => "1 thread\nThe processor computes: this browser has no WebGPU.",
  },
  {
    name: "the processor, isolated",
    choice: "wasm",
    isolated: true,
    device: "wasm",
    says: (cores) => (cores === 1 ? "1 thread" : `${cores} threads`),
  },
];

/** What a run on each device must not load. */
const FOREIGN = { webgpu: /\.wasm$|\/wasm-/, wasm: /\/webgpu-/ };

export async function checkDevices(site: Site, isolated: Site): Promise<void> {
  for (const each of CASES)
    await attempt(each.name, () => checkRunOn(each.isolated === true ? isolated : site, each));
  await attempt("without any device", () => checkWithoutDevice(site));
}

const RUN = { ...DEFAULTS.run, batch: 2, rows: 40, keys: 40 };

async function checkRunOn(site: Site, { name, choice, without = [], device, says }: Case): Promise<void> {
  const settings = { spec: SMALL, tab: "run", run: { ...RUN, device: choice } } as const;
  const loaded: string[] = [];
  const page = await openSpec(site, settings, {
    without,
    onRequest: (url) => loaded.push(url),
  });
  const said = (await page.locator(`.device-found[data-device=${device}]`).innerText()).trim();
  const wanted = says(await page.evaluate(() => navigator.hardwareConcurrency));
  report(
    `${name}: the page says what it computes on`,
    said.endsWith(wanted) ? null : said,
    said.replace("\n", "; "),
  );
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForSelector(".verdict", { timeout: 50_000 });
  const errors = await readErrors(page);
  const bad = errors.filter(({ error }) => !(error > 0 && error < 5e-6));
  report(
    `${name}: as the reference`,
    errors.length === 2 && bad.length === 0 ? null : JSON.stringify(errors),
    errors.map(({ tensor, error }) => `${tensor} ${error.toExponential(1)}`).join(", "),
  );
  const result = await page.locator(".run-outcome").innerText();
  const named = new RegExp(`result of ${DEVICE_NAMES[device]}`, "i").test(result);
  report(`${name}: the result says what computed it`, named ? null : result.slice(0, 80));
  const foreign = loaded.filter((url) => FOREIGN[device].test(url));
  report(`${name}: loads only what it needs`, foreign.length === 0 ? null : foreign.join(" "));
  await page.context().close();
}

async function checkWithoutDevice(site: Site): Promise<void> {
  const settings = { spec: SMALL, tab: "run", run: RUN } as const;
  const page = await openSpec(site, settings, { without: ["WebGPU", "WebAssembly"] });
  const said = await page.locator(".panel[data-panel=run] .notice").innerText();
  report(
    "without any device the page says so",
    said.includes("there is no WebAssembly here") ? null : said,
    said.split("\n")[0],
  );
  await showTab(page, "wgsl");
  const text = await page.locator(".panel[data-panel=wgsl] .cm-content").innerText();
  report("without any device it compiles", text.includes("small") ? null : text.slice(0, 80));
  await showTab(page, "run");
  await page.getByRole("button", { name: "Compute the reference" }).click();
  await page.getByText("nothing else could compute").waitFor();
  report("without any device the reference works", null);
  await showTab(page, "maps");
  await page.waitForSelector(".map-canvas");
  report("without any device the maps work", null);
  await page.context().close();
}
