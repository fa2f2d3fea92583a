import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

/** SwiftShader as WebGPU's device, and nothing that reaches for the network. */
const FLAGS = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--use-webgpu-adapter=swiftshader",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
  "--no-first-run",
];

/** The one from npm, which is pinned, then Debian's: that brings libraries along which the first may find missing. */
const CANDIDATES: readonly (() => Promise<string> | string)[] = [
  async () => (await import("@sparticuz/chromium")).default.executablePath(),
  () => onPath("chromium"),
];

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

/** @param scratch Where Chromium is unpacked, and where its profile goes. */
export async function openChromium(scratch: string): Promise<Browser> {
  // @sparticuz/chromium takes whatever `chromium` lies in the temporary folder already, half unpacked or of another version.
  Object.assign(process.env, { TMPDIR: scratch });
  const problems: string[] = [];
  for (const candidate of CANDIDATES) {
    try {
      const executablePath = await candidate();
      return await chromium.launch({ executablePath, args: FLAGS, timeout: 30_000 });
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`no Chromium starts here:\n${problems.join("\n")}`);
}
