// Every page of the built site, light and dark, on a phone and on a wide screen: axe finds nothing, nothing is wider than the screen,
// nothing fails to load, links with a fragment lead to a place that there is. Prints a line for each page and ends with "N passed, N failed".
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import { serveFolder } from "../../examples/playground/scripts/static-server.ts";
import { messageOf, report, summarise, withScratch } from "../browser/checks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SITE = join(ROOT, "docs/.vitepress/dist");
const WIDTHS = [390, 1440];
const SCHEMES = ["light", "dark"] as const;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What one page has that others link to, and where its own links lead. */
interface Places {
  readonly ids: ReadonlySet<string>;
  /** Paths on this server with a fragment, as `/language.html#mask`. */
  readonly links: readonly string[];
}

declare global {
  interface Window {
    /** Put there by `axe.source`. */
    readonly axe: typeof axe;
  }
}

/** @param pictures A folder for screenshots of each page; null makes none. */
export async function checkSite(pictures: string | null): Promise<boolean> {
  await withScratch(async (scratch) => {
    if (!existsSync(join(SITE, "index.html"))) {
      report("the site", "it is not built, or has no home page: `npm run docs`");
      return;
    }
    const server = await serveFolder(SITE, "/");
    const browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
    try {
      const places = new Map<string, Places>();
      for (const file of htmlFiles()) await checkPage(browser, server.url, file, pictures, places);
      checkFragments(places);
    } catch (error) {
      report("the site", messageOf(error));
    } finally {
      await browser.close();
      server.close();
    }
  });
  return summarise();
}

function htmlFiles(): readonly string[] {
  return readdirSync(SITE, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".html"))
    .sort();
}

async function checkPage(
  browser: Browser,
  url: string,
  file: string,
  pictures: string | null,
  places: Map<string, Places>,
): Promise<void> {
  const faults: string[] = [];
  const page = await browser.newPage({ reducedMotion: "reduce" });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("requestfailed", (request) => faults.push(`cannot load ${request.url()}`));
  await page.goto(`${url}${file}`, { waitUntil: "networkidle" });
  await page.evaluate(axe.source);
  for (const width of WIDTHS)
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      // What changes with a short transition has then changed.
      await page.waitForTimeout(300);
      for (const fault of await faultsOf(page)) faults.push(`${width} px, ${colorScheme}: ${fault}`);
      if (pictures !== null) await picture(page, pictures, `${file}-${width}-${colorScheme}`);
    }
  places.set(`/${file}`, await placesOf(page));
  await page.close();
  report(file, faults.length === 0 ? null : [...new Set(faults)].join("\n  "));
}

async function faultsOf(page: Page): Promise<readonly string[]> {
  const { violations } = await page.evaluate(
    async (rules) => await window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }),
    RULES,
  );
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary = "" }) => `${id}: ${target.join(" ")} ${failureSummary}`),
  );
  const [excess, marked] = await page.evaluate(() => [
    document.documentElement.scrollWidth - window.innerWidth,
    document.querySelectorAll(".vp-doc .highlighted").length,
  ]);
  if (excess > 0) found.push(`${excess} px wider than the screen`);
  // No page asks for that.
  if (marked > 0) found.push(`${marked} lines of code are marked`);
  return found;
}

async function placesOf(page: Page): Promise<Places> {
  const { ids, links } = await page.evaluate(() => ({
    ids: Array.from(document.querySelectorAll("[id]"), ({ id }) => id),
    links: Array.from(document.querySelectorAll<HTMLAnchorElement>("a[href*='#']"))
      .filter(({ origin }) => origin === location.origin)
      .map(({ pathname, hash }) => `${pathname}${hash}`),
  }));
  return { ids: new Set(ids), links };
}

function checkFragments(places: ReadonlyMap<string, Places>): void {
  const lost = [...places].flatMap(([from, { links }]) =>
    links.filter((link) => !leadsSomewhere(link, places)).map((link) => `${from}: ${link}`),
  );
  report("links to a place in a page", lost.length === 0 ? null : [...new Set(lost)].join("\n  "));
}

function leadsSomewhere(link: string, places: ReadonlyMap<string, Places>): boolean {
  const [path = "", fragment = ""] = link.split("#");
  const page = places.get(path.replace(/\/$/, "/index.html"));
  return page !== undefined && (fragment === "" || page.ids.has(decodeURIComponent(fragment)));
}

async function picture(page: Page, folder: string, name: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name.replaceAll("/", "-")}.png`) });
}
