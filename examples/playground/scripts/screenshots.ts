// Pictures of the built page: compiled, run, with maps, with a broken spec; wide and narrow, light and dark.
// Usage: screenshots.ts [FOLDER]
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { openChromium } from "../../../compiler/bench/peers/chromium.ts";
import { buildPage } from "./build.ts";
import { serveFolder } from "./static-server.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const [, , folder = fileURLToPath(new URL("../screenshots/", import.meta.url))] = process.argv;

const SIZES = {
  wide: { width: 1440, height: 900 },
  narrow: { width: 390, height: 844 },
} as const;

type Size = keyof typeof SIZES;
type Scheme = "light" | "dark";

interface Scene {
  readonly name: string;
  /** Brings the page to what is to be seen. */
  readonly prepare: (page: Page) => Promise<void>;
  readonly views: readonly (readonly [Size, Scheme])[];
}

const EVERY: Scene["views"] = [
  ["wide", "light"],
  ["narrow", "light"],
  ["wide", "dark"],
];

const tab = (name: string) => async (page: Page) => {
  await page.click(`.tabs [data-tab="${name}"]`);
};

const BROKEN = `attention broken {
  heads     16
  kv_heads  5
  head_dim  96
  mask      casual
  dtype     f16

  scores   { conv 6x10   mix 16 }
  output   { norm   gate }
}
`;

const SCENES: readonly Scene[] = [
  { name: "compiled", prepare: tab("pipeline"), views: [...EVERY, ["narrow", "dark"]] },
  { name: "plan", prepare: tab("plan"), views: EVERY },
  {
    name: "plan-cuda",
    prepare: async (page) => {
      await tab("plan")(page);
      await page.check("input[value=cuda]", { force: true });
    },
    views: [["wide", "light"]],
  },
  { name: "wgsl", prepare: tab("wgsl"), views: EVERY },
  { name: "cuda", prepare: tab("cuda"), views: [["wide", "light"]] },
  {
    name: "run",
    prepare: async (page) => {
      await tab("run")(page);
      await page.fill(".panel[data-panel=run] input >> nth=1", "48");
      await page.fill(".panel[data-panel=run] input >> nth=2", "48");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".verdict", { timeout: 60_000 });
    },
    views: EVERY,
  },
  {
    name: "maps",
    prepare: async (page) => {
      await tab("maps")(page);
      await page.waitForSelector(".map-canvas");
      await page
        .locator(".map-frame")
        .nth(1)
        .hover({ position: { x: 60, y: 120 } });
    },
    views: EVERY,
  },
  {
    name: "run-gradients",
    prepare: async (page) => {
      await tab("run")(page);
      await page.fill(".panel[data-panel=run] input >> nth=1", "48");
      await page.fill(".panel[data-panel=run] input >> nth=2", "48");
      await page.check(".panel[data-panel=run] input[type=checkbox]");
      await page.keyboard.press("Control+Enter");
      await page.waitForSelector(".verdict", { timeout: 60_000 });
    },
    views: EVERY,
  },
  {
    name: "maps-gradients",
    prepare: async (page) => {
      await tab("maps")(page);
      await page.check(".panel[data-panel=maps] input[type=checkbox]");
      await page.waitForSelector("canvas[data-map=d_v]");
      await page
        .locator(".map-frame")
        .nth(1)
        .hover({ position: { x: 60, y: 120 } });
    },
    views: EVERY,
  },
  {
    name: "broken",
    prepare: async (page) => {
      await page.locator(".source-editor .cm-content").fill(BROKEN);
      await page.waitForSelector(".problem");
    },
    views: EVERY,
  },
  {
    name: "completion",
    prepare: async (page) => {
      await page
        .locator(".source-editor .cm-content")
        .fill("attention a {\n  heads 8\n  head_dim 64\n  scores { co");
      await page.keyboard.press("Control+Space");
      await page.waitForSelector(".cm-tooltip-autocomplete");
    },
    views: [["wide", "light"]],
  },
  {
    name: "help",
    prepare: async (page) => {
      await tab("pipeline")(page);
      await page.keyboard.press("?");
      await page.waitForSelector(".help[open]");
    },
    views: [
      ["wide", "light"],
      ["narrow", "dark"],
    ],
  },
];

async function shoot(browser: Browser, url: string, scene: Scene, size: Size, scheme: Scheme): Promise<void> {
  const page = await browser.newPage({ viewport: SIZES[size], colorScheme: scheme });
  await page.goto(url);
  await page.waitForSelector(".panels:not([hidden])");
  await scene.prepare(page);
  // What appears with a short transition has then appeared.
  await page.waitForTimeout(400);
  await page.evaluate(() => scrollTo(0, 0));
  const file = `${scene.name}-${size}-${scheme}.png`;
  await page.screenshot({ path: join(folder, file), fullPage: size === "narrow" });
  console.log(file);
  await page.close();
}

const only = process.argv[3];
const scratch = mkdtempSync(join(tmpdir(), "mtac-playground-"));
try {
  mkdirSync(folder, { recursive: true });
  await buildPage("playground", join(scratch, "page"));
  const server = await serveFolder(join(scratch, "page"));
  const browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
  for (const scene of SCENES)
    for (const [size, scheme] of scene.views)
      if (only === undefined || scene.name === only) await shoot(browser, server.url, scene, size, scheme);
  await browser.close();
  server.close();
  console.log(`in ${resolve(folder)}`);
} finally {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
}
