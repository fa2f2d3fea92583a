// The playground's checks of what reaches it from outside and of who uses it: links, markup in specs, keyboard, colours, widths.
import type { Page } from "playwright-core";
import { DEFAULTS, TABS } from "../../examples/playground/src/state/settings.ts";
import { encodeSettings } from "../../examples/playground/src/state/share.ts";
import { attempt, report } from "./checks.ts";
import {
  compiled,
  difference,
  openPage,
  openSpec,
  type Site,
  SMALL,
  showTab,
  specText,
  write,
} from "./playground-page.ts";

export async function checkSharing(site: Site): Promise<void> {
  await attempt("share", () => checkRoundTrip(site));
  await attempt("broken links", () => checkBrokenLinks(site));
  await attempt("injection", () => checkInjection(site));
}

export async function checkUse(site: Site): Promise<void> {
  await attempt("keyboard", () => checkKeyboard(site));
  await attempt("colours", () => checkColours(site));
  await attempt("narrow", () => checkNarrow(site));
}

async function checkRoundTrip(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL });
  const spec = SMALL.replace("head_dim  16", "head_dim  32 // geändert ✓");
  await write(page, spec);
  await showTab(page, "plan");
  await page.getByLabel("Length").first().fill("512");
  await page.getByRole("button", { name: "Share" }).click();
  await page.getByText("The link is copied.").waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  report("the link is the address", difference(link, page.url()), `${link.length} characters`);
  const other = await openPage(site, link.split("#")[1] ?? "");
  await compiled(other);
  report("a link brings the spec back", difference((await specText(other)).trimEnd(), spec.trimEnd()));
  const tab = await other.locator(".tabs [aria-selected=true]").innerText();
  const length = await other.getByLabel("Length").first().inputValue();
  report("a link brings the settings back", tab === "Plan" && length === "512" ? null : `${tab}, ${length}`);
  await page.context().close();
  await other.context().close();
}

async function checkBrokenLinks(site: Site): Promise<void> {
  const sound = await encodeSettings({ ...DEFAULTS, spec: SMALL });
  const bomb = await packed("x".repeat(3_000_000));
  const links = {
    cut: sound.slice(0, 40),
    garbage: "1.%3Cscript%3E",
    "another format": "9.abc",
    "no settings": await packed("[1, 2"),
    "no spec": await packed('{"spec": 5}'),
    "a bomb": bomb,
    "too long": `1.${"A".repeat(40_000)}`,
  };
  const page = await openPage(site);
  for (const [name, link] of Object.entries(links)) {
    await page.goto("about:blank");
    await page.goto(`${site.url}#${link}`);
    await page.locator(".toast", { hasText: "The link cannot be read" }).waitFor();
    await compiled(page);
    report(`a broken link: ${name}`, null, await page.locator(".toast").innerText());
  }
  await page.context().close();
}

async function packed(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  return `1.${Buffer.from(await new Response(stream).arrayBuffer()).toString("base64url")}`;
}

/** Text that would run, were any of it taken for markup. */
const HOSTILE = [
  `"><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>`,
  "<svg onload=window.hacked=3></svg><iframe srcdoc='<script>parent.hacked=4</script>'></iframe>",
  `javascript:window.hacked=5//\`\${window.hacked=6}\`{{hacked}}{{{hacked}}}`,
];

async function checkInjection(site: Site): Promise<void> {
  const specs = HOSTILE.flatMap((text) => [
    `// ${text}\n/* ${text} */\n${SMALL}`,
    `attention ${text} {\n heads 2\n head_dim 8\n}\n`,
    `attention a {\n heads ${text}\n mask ${text}\n scores { ${text} }\n}\nconst ${text} = ${text}\n`,
  ]);
  const page = await openSpec(site, { spec: SMALL });
  const before = await elements(page);
  for (const spec of specs) {
    await write(page, spec);
    await page.waitForFunction(() => document.querySelector(".problem, .panels:not(.stale)") !== null);
    await page.waitForTimeout(200);
    for (const tab of TABS) await showTab(page, tab);
    const mark = page.locator(".cm-lintRange-error").first();
    if ((await mark.count()) > 0) await mark.hover({ force: true });
  }
  await checkUntouched("markup in specs", page, before);
  await page.context().close();
  const hostile = HOSTILE[0] ?? "";
  const linked = { ...DEFAULTS, spec: `// ${hostile}\n${SMALL}`, attention: hostile, architecture: hostile };
  const fragment = await encodeSettings(linked);
  const other = await openPage(site, fragment);
  await compiled(other);
  await checkUntouched("markup in a link's settings", other, await elements(other));
  await other.goto("about:blank");
  await other.goto(`${site.url}#${encodeURIComponent(hostile)}`);
  await compiled(other);
  await checkUntouched("markup as a link", other, await elements(other));
  await other.context().close();
  await checkPolicy(site);
}

/** Even markup that had got in could run nothing: the page's own policy forbids it. */
async function checkPolicy(site: Site): Promise<void> {
  // The browser complains of it, as it should.
  const complaints: string[] = [];
  const page = await openPage({ ...site, complaints });
  await compiled(page);
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 7";
    const image = document.createElement("img");
    image.setAttribute("onerror", "window.hacked = 8");
    image.src = "data:,";
    document.body.append(script, image);
  });
  await page.waitForTimeout(200);
  const hacked = await page.evaluate(() => String(Reflect.get(window, "hacked")));
  const refused = complaints.filter((text) => text.includes("Content Security Policy")).length;
  report(
    "inline script cannot run",
    hacked === "undefined" && refused >= 2 ? null : `${hacked}, ${refused} refused`,
  );
  await page.context().close();
}

/** How many elements there are that could run something. */
async function elements(page: Page): Promise<string> {
  return page.evaluate(() =>
    [
      "script",
      "iframe",
      "img:not(.cm-widgetBuffer)",
      "object",
      "embed",
      "link",
      "[onerror]",
      "[onload]",
      "[href^='javascript']",
    ]
      .map((kind) => `${kind} ${document.querySelectorAll(kind).length}`)
      .join(", "),
  );
}

async function checkUntouched(what: string, page: Page, before: string): Promise<void> {
  const hacked = await page.evaluate(() => String(Reflect.get(window, "hacked")));
  const now = await elements(page);
  const clean = hacked === "undefined" && now === before && now.includes("widgetBuffer) 0, object 0");
  report(`${what} does nothing`, clean ? null : `hacked ${hacked}; ${before} became ${now}`, now);
}

async function checkKeyboard(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL, run: { ...DEFAULTS.run, rows: 16, keys: 16 } });
  const inEditor = () => page.evaluate(() => document.activeElement?.closest(".source-editor") !== null);
  let steps = 0;
  while (!(await inEditor()) && steps < 20) {
    await page.keyboard.press("Tab");
    steps += 1;
  }
  report("Tab reaches the editor", steps < 20 ? null : "not within 20 steps", `${steps} steps`);
  await page.keyboard.press("Control+End");
  await page.keyboard.type("// typed");
  await page.keyboard.press("Tab");
  report("Tab leaves the editor", (await inEditor()) ? "the focus stays" : null);
  const text = await specText(page);
  report("what is typed is there, without a tab", text.endsWith("// typed") ? null : text.slice(-20));
  await page.keyboard.press("F6");
  await page.keyboard.press("F6");
  const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  report("F6 leads to the tabs", difference(await focused(), "Pipeline"));
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  report("arrows move from tab to tab", difference(await focused(), "WGSL"));
  const shown = await page.locator(".panel:not([hidden])").getAttribute("data-panel");
  report("the tab's panel is shown", difference(shown ?? "", "wgsl"));
  await page.keyboard.press("End");
  report("End leads to the last tab", difference(await focused(), "Maps"));
  const ring = await page.evaluate(
    () => getComputedStyle(document.activeElement ?? document.body).outlineStyle,
  );
  report("what has the focus shows it", ring === "solid" ? null : ring);
  await page.keyboard.press("?");
  await page.waitForSelector(".help[open]");
  await page.keyboard.press("Escape");
  report(
    "? opens the list of keys, Escape closes it",
    (await page.locator(".help[open]").count()) === 0 ? null : "it stays",
  );
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector(".verdict-fine", { timeout: 50_000 });
  report("Ctrl+Enter runs", null);
  await page.context().close();
}

async function checkColours(site: Site): Promise<void> {
  const lightness = (page: Page) =>
    page.evaluate(() => {
      const parts = getComputedStyle(document.body).backgroundColor.match(/\d+/g) ?? [];
      return parts.slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
    });
  const light = await openPage(site, "", { colorScheme: "light" });
  const dark = await openPage(site, "", { colorScheme: "dark", reducedMotion: "reduce" });
  await compiled(light);
  await compiled(dark);
  const [bright, dim] = [await lightness(light), await lightness(dark)];
  report("light and dark follow the system", bright > 0.8 && dim < 0.2 ? null : `${bright}, ${dim}`);
  await light.getByRole("button", { name: "Switch to dark colours" }).click();
  await light.reload();
  await compiled(light);
  report("the choice stays", (await lightness(light)) < 0.2 ? null : "it is light again");
  const motion = await dark.evaluate(
    () => getComputedStyle(document.querySelector(".toast") ?? document.body).transitionDuration,
  );
  report("nothing moves where that is not wanted", /^0s(, 0s)*$/.test(motion) ? null : motion);
  await light.context().close();
  await dark.context().close();
}

async function checkNarrow(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL }, { viewport: { width: 360, height: 740 } });
  const wide: string[] = [];
  const look = async (what: string): Promise<void> => {
    const [scroll, own] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    if (scroll !== own) wide.push(`${what}: ${scroll} of ${own}`);
  };
  for (const tab of TABS) {
    await showTab(page, tab);
    if (tab === "maps") await page.locator(".map-frame").first().hover();
    await look(tab);
  }
  await showTab(page, "run");
  await page.getByLabel("Query rows").fill("16");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForSelector(".run-outcome > *", { timeout: 50_000 });
  await look("run, finished");
  await write(page, `attention ${"a".repeat(70)} { heads x }`);
  await page.waitForSelector(".problem");
  await look("problems");
  report("360 pixels are wide enough", wide.length === 0 ? null : wide.join("; "));
  await page.context().close();
}
