import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserType } from "playwright-core";
import { findPackage } from "./packages.ts";
import { messageOf, unavailable } from "./peer.ts";

/** Nothing that reaches for the network. */
const COMMON_FLAGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

/** Which device WebGPU is to use: the machine's GPU, or SwiftShader, the software adapter; `none` turns WebGPU off. */
export type BrowserGpu = "real" | "swiftshader" | "none";

/** WebGPU wherever there is an adapter. */
const WEBGPU_FLAGS = ["--enable-unsafe-webgpu", "--enable-features=Vulkan"];

const GPU_FLAGS: Readonly<Record<BrowserGpu, readonly string[]>> = {
  // Headless browsers avoid GPUs unless they are told not to.
  real: [...WEBGPU_FLAGS, "--ignore-gpu-blocklist", "--enable-gpu"],
  swiftshader: [...WEBGPU_FLAGS, "--use-vulkan=swiftshader", "--use-webgpu-adapter=swiftshader"],
  none: ["--disable-blink-features=WebGPU"],
};

/** The one from npm is pinned; those of the system bring libraries along which the first may find missing. */
const NPM_BROWSER = "@sparticuz/chromium";
const SYSTEM_BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

export interface ChromiumOptions {
  /** The folder of the project that has `playwright-core`, and maybe `@sparticuz/chromium`. */
  readonly resolveFrom: string;
  /** Where Chromium is unpacked, and where its profile goes. */
  readonly scratch: string;
  readonly gpu: BrowserGpu;
}

/**
 * Starts a headless Chromium: on the machine's GPU the system's own first, which can drive it, on SwiftShader the pinned one.
 * @throws PeerError MTA940: `playwright-core` is missing, or no Chromium starts.
 */
export async function openChromium({ resolveFrom, scratch, gpu }: ChromiumOptions): Promise<Browser> {
  const chromium = loadPlaywright(resolveFrom);
  const system = SYSTEM_BROWSERS.map((name) => () => onPath(name));
  const pinned = () => unpackedFromNpm(resolveFrom, scratch);
  const problems: string[] = [];
  for (const find of gpu === "real" ? [...system, pinned] : [pinned, ...system]) {
    try {
      const executablePath = await find();
      const args = [...COMMON_FLAGS, ...GPU_FLAGS[gpu]];
      return await withTemporaryFolder(scratch, () =>
        // A benchmark that is interrupted closes its peers itself; Playwright would end the whole process.
        chromium.launch({ executablePath, args, timeout: 30_000, handleSIGINT: false }),
      );
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  throw unavailable(
    `no Chromium starts here:\n${problems.join("\n")}`,
    "npm install @sparticuz/chromium@147.0.0 (Linux x64), or install the system's chromium",
  );
}

function loadPlaywright(resolveFrom: string): BrowserType {
  const path = findPackage("playwright-core", resolveFrom, "npm install playwright-core");
  const loaded: unknown = createRequire(path)(path);
  if (hasChromium(loaded)) return loaded.chromium;
  throw unavailable(`${path} is not playwright-core`, "npm install playwright-core");
}

function hasChromium(loaded: unknown): loaded is { readonly chromium: BrowserType } {
  if (typeof loaded !== "object" || loaded === null || !("chromium" in loaded)) return false;
  const { chromium } = loaded;
  return typeof chromium === "object" && chromium !== null && "launch" in chromium;
}

async function unpackedFromNpm(resolveFrom: string, scratch: string): Promise<string> {
  const path = findPackage(NPM_BROWSER, resolveFrom, `npm install ${NPM_BROWSER}@147.0.0`);
  const loaded: unknown = await import(pathToFileURL(path).href);
  if (!unpacksChromium(loaded)) throw new Error(`${path} is not ${NPM_BROWSER}`);
  // It takes whatever `chromium` lies in the temporary folder already, half unpacked or of another version.
  return withTemporaryFolder(scratch, () => loaded.default.executablePath());
}

function unpacksChromium(
  loaded: unknown,
): loaded is { readonly default: { executablePath(): Promise<string> } } {
  if (typeof loaded !== "object" || loaded === null || !("default" in loaded)) return false;
  const unpacker = loaded.default;
  return (typeof unpacker === "function" || typeof unpacker === "object") && unpacker !== null
    ? "executablePath" in unpacker
    : false;
}

function onPath(name: string): string {
  const { PATH = "" } = process.env;
  for (const folder of PATH.split(delimiter)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // The next folder may have it.
    }
  }
  throw new Error(`there is no ${name} on the path`);
}

/** Runs `work` with TMPDIR pointed at a folder: what it leaves behind goes when that does. */
async function withTemporaryFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const { TMPDIR: before } = process.env;
  Object.assign(process.env, { TMPDIR: folder });
  try {
    return await work();
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, "TMPDIR");
    else Object.assign(process.env, { TMPDIR: before });
  }
}
