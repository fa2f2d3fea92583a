// What the playground's checks share: pages that note every complaint, and the ways to drive them.
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { DEFAULTS, type Settings } from "../../examples/playground/src/state/settings.ts";
import { encodeSettings } from "../../examples/playground/src/state/share.ts";

/** A browser, and the page that it is to open. */
export interface Site {
  readonly browser: Browser;
  /** Ends with a slash. */
  readonly url: string;
  /** Every complaint of every page: errors, warnings, dialogs, requests to elsewhere. */
  readonly complaints: string[];
}

/** Small enough for SwiftShader, with a stage of each kind. */
export const SMALL = `attention small {
  heads     2
  head_dim  16
  mask      causal

  scores   { conv 2x3   mix 2 }
  weights  { conv 2x3 }
  output   { norm   gate }
}
`;

/** What a browser may lack, and the script that takes it from a worker. */
const HIDE = {
  WebGPU: `Object.defineProperty(navigator, "gpu", { value: undefined });`,
  WebAssembly: "globalThis.WebAssembly = undefined;",
};

export interface PageOptions extends BrowserContextOptions {
  /** As in a browser that has none of these. */
  readonly without?: readonly (keyof typeof HIDE)[];
  /** Told of each address that the page asks for. */
  readonly onRequest?: (url: string) => void;
}

/** Opens the playground in a context of its own; what the page complains of is kept. */
export async function openPage(
  { browser, url, complaints }: Site,
  fragment = "",
  { without = [], onRequest, ...options }: PageOptions = {},
): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  page.on("pageerror", ({ message }) => complaints.push(`error: ${message}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    onRequest?.(request.url());
    if (!request.url().startsWith(url) && !request.url().startsWith("blob:"))
      complaints.push(`a request: ${request.url()}`);
  });
  if (without.length > 0) await hide(page, without.map((name) => HIDE[name]).join("\n"));
  await page.goto(`${url}${fragment === "" ? "" : `#${fragment}`}`);
  return page;
}

/** Runs a script in the worker that computes, before its own: scripts that a page is given do not reach its workers. */
async function hide(page: Page, script: string): Promise<void> {
  await page.route("**/numeric.worker-*.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${script}\n${await response.text()}` });
  });
}

/** The playground with a spec and settings of one's own, compiled. */
export async function openSpec(
  site: Site,
  settings: Partial<Settings> & Pick<Settings, "spec">,
  options: PageOptions = {},
): Promise<Page> {
  const page = await openPage(site, await encodeSettings({ ...DEFAULTS, ...settings }), options);
  await compiled(page);
  return page;
}

/** Waits until the present spec is compiled and shown. */
export async function compiled(page: Page): Promise<void> {
  await page.waitForSelector(".panels:not([hidden]):not(.stale)", { timeout: 20_000 });
  await page.waitForFunction(
    () => document.querySelector(".compile-state")?.textContent?.startsWith("compiled in"),
    undefined,
    { timeout: 20_000 },
  );
}

export function editorOf(page: Page) {
  return page.locator(".source-editor .cm-content");
}

/** Replaces the spec, as somebody who pastes another would. */
export async function write(page: Page, text: string): Promise<void> {
  await page.evaluate((pasted) => navigator.clipboard.writeText(pasted), text);
  await editorOf(page).focus();
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Control+V");
}

export async function showTab(page: Page, name: string): Promise<void> {
  await page.click(`.tabs [data-tab="${name}"]`);
  await page.waitForSelector(`.panel[data-panel="${name}"]:not([hidden])`);
}

/** The editor's whole text, whatever of it is drawn: every line is near enough to be. */
export async function specText(page: Page): Promise<string> {
  return (await page.locator(".source-editor .cm-line").allInnerTexts())
    .map((line) => line.replace(/\n$/, ""))
    .join("\n");
}

/** null where two texts are equal, else where they begin to differ. */
export function difference(got: string, wanted: string): string | null {
  if (got === wanted) return null;
  const at = [...got].findIndex((character, index) => character !== wanted[index]);
  const from = Math.max(0, (at < 0 ? got.length : at) - 20);
  return `${JSON.stringify(got.slice(from, from + 60))} is not ${JSON.stringify(wanted.slice(from, from + 60))}`;
}
