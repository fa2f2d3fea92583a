// Builds the playground, serves it like a plain static server, and uses it in headless Chromium on SwiftShader: what it compiles and
// computes against the compiler and the reference in Node, links, hostile specs, keyboard, colours, widths. Prints a line for
// each check and ends with "N passed, N failed".
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import { formatBytes } from "../../compiler/report/units.ts";
import { ISOLATION } from "../../examples/playground/plugins/policy.ts";
import { buildPage } from "../../examples/playground/scripts/build.ts";
import { serveFolder } from "../../examples/playground/scripts/static-server.ts";
import { messageOf, report, summarise, withScratch } from "./checks.ts";
import { checkCompiling } from "./playground-compile.ts";
import { checkDevices } from "./playground-devices.ts";
import { checkComputing } from "./playground-run.ts";
import { checkSharing, checkUse } from "./playground-safety.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A browser that hangs is a failure, told before whoever started this loses patience. */
const PATIENCE_MS = 240_000;

/** What a first visit may load, gzipped: the page itself, and all with its workers; and what comes with gradients. */
const MOST_PAGE_BYTES = 200 * 1024;
const MOST_BYTES = 490 * 1024;
const MOST_GRADIENT_BYTES = 98 * 1024;

export async function checkPlayground(): Promise<boolean> {
  await withScratch(async (scratch) => {
    const folder = join(scratch, "page");
    try {
      await buildPage("playground", folder);
      checkSizes(folder);
      await checkInBrowser(scratch, folder);
    } catch (error) {
      report("the playground", messageOf(error));
    }
  });
  return summarise();
}

function checkSizes(folder: string): void {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /\.\w+$/.test(file),
  );
  const sizes = files.map((file) => ({ file, bytes: gzipSync(readFileSync(join(folder, file))).byteLength }));
  const bytesOf = (which: (file: string) => boolean): number =>
    sizes.reduce((sum, { file, bytes }) => sum + (which(file) ? bytes : 0), 0);
  const page = bytesOf((file) => /^(?!assets)|index-/.test(file));
  const gradients = bytesOf(isForGradients);
  const total = bytesOf(() => true) - gradients;
  const said = `page ${formatBytes(page)}, with workers ${formatBytes(total)}, with gradients ${formatBytes(gradients)} more, gzipped`;
  const fits = page <= MOST_PAGE_BYTES && total <= MOST_BYTES && gradients <= MOST_GRADIENT_BYTES;
  report("the page's size", fits ? null : said, said);
}

/** Modules of the C library that compute gradients, and templates of their kernels. */
function isForGradients(file: string): boolean {
  return /-backward-|gradient-templates-/.test(file);
}

async function checkInBrowser(scratch: string, folder: string): Promise<void> {
  const server = await serveFolder(folder);
  const isolated = await serveFolder(folder, "/isolated/", ISOLATION);
  const browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
  const impatience = setTimeout(() => void browser.close({ reason: "it took too long" }), PATIENCE_MS);
  try {
    const site = { browser, url: server.url, complaints: [] };
    console.log(`Chromium ${browser.version()}`);
    await checkCompiling(site);
    await checkComputing(site);
    await checkDevices(site, { ...site, url: isolated.url });
    await checkSharing(site);
    await checkUse(site);
    const { complaints } = site;
    report(
      "no page complained, asked or went elsewhere",
      complaints.length === 0 ? null : [...new Set(complaints)].join("\n"),
    );
  } finally {
    clearTimeout(impatience);
    await browser.close();
    server.close();
    isolated.close();
  }
}
