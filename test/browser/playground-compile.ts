// The playground's checks of what it compiles: texts equal to Node's, diagnostics, completion, hover, format.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse, type CheckedSpec, format } from "../../compiler/language/index.ts";
import { WEBGPU_COMMON_LIMITS } from "../../compiler/plan/index.ts";
import { attentionFacts, explain } from "../../compiler/report/explain.ts";
import { formatBytes, formatCount } from "../../compiler/report/units.ts";
import { attempt, report } from "./checks.ts";
import {
  compiled,
  difference,
  editorOf,
  openPage,
  openSpec,
  type Site,
  SMALL,
  showTab,
  specText,
  write,
} from "./playground-page.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));

export async function checkCompiling(site: Site): Promise<void> {
  await attempt("compiles on load", async () => {
    const page = await openPage(site);
    await compiled(page);
    const name = await page.locator(".panel[data-panel=pipeline] h1").innerText();
    report("compiles on load", name === "mta_830m" ? null : `it shows ${name}`);
    const menu = await page.locator(".examples option").allInnerTexts();
    const files = readdirSync(EXAMPLES).filter((file) => file.endsWith(".mta"));
    const wanted = ["Examples", ...files.map((file) => file.replace(/\.mta$/, ""))].sort().join(" ");
    report("every example is in the menu", difference(menu.toSorted().join(" "), wanted));
    await page.selectOption(".examples", "grouped_window");
    await page.waitForFunction(() => document.querySelector("h1")?.textContent === "grouped_window");
    report("an example is loaded", null);
    await page.context().close();
  });
  for (const [example, attention] of [
    ["mta_830m", "mta_830m"],
    ["ablation", "sparse"],
  ] as const) {
    const what = `${example}: ${attention}`;
    await attempt(what, () => checkTexts(site, what, example, attention));
  }
  await attempt("diagnostics", () => checkDiagnostics(site));
  await attempt("a slow spec", () => checkSlowSpec(site));
  await attempt("completion", () => checkCompletion(site));
  await attempt("format", () => checkFormat(site));
}

function specOf(text: string): CheckedSpec {
  const { spec } = analyse(text, "spec.mta");
  if (spec === null) throw new Error("the example has errors");
  return spec;
}

/** Plan, WGSL and CUDA, against what the compiler says here. */
async function checkTexts(site: Site, what: string, example: string, attention: string): Promise<void> {
  const text = readFileSync(`${EXAMPLES}${example}.mta`, "utf8");
  const page = await openSpec(site, { spec: text, attention });
  const { artifacts, files } = compileChecked(specOf(text), { names: [attention] });
  const wgsl = await copyAll(page, "wgsl");
  const sources = Object.entries(artifacts[0]?.sources ?? {});
  const wrong = sources.flatMap(([file, source]) => difference(wgsl.get(file) ?? "", source) ?? []);
  report(
    `${what}: WGSL as in Node`,
    wgsl.size === sources.length ? (wrong[0] ?? null) : `${wgsl.size} files`,
    `${wgsl.size} kernels`,
  );
  const cuda = await copyAll(page, "cuda");
  const names = [`${attention}.cu`, `${attention}.h`, `${attention}.cmake`];
  const other = names.flatMap((file) => difference(cuda.get(file) ?? "", files[file] ?? "") ?? []);
  report(`${what}: CUDA as in Node`, other[0] ?? null, [...cuda.keys()].join(", "));
  await checkPlan(page, what, specOf(text), attention);
  await page.context().close();
}

/** All files of a code tab, by name, through its Copy button. */
async function copyAll(page: Page, tab: string): Promise<Map<string, string>> {
  await showTab(page, tab);
  const panel = page.locator(`.panel[data-panel="${tab}"]`);
  const devices = panel.locator(".view-tools select");
  const groups = await devices.locator("option").count();
  const texts = new Map<string, string>();
  for (let group = 0; group < groups; group += 1) {
    if (groups > 1) await devices.selectOption(String(group));
    for (const button of await panel.locator("[role=tab]").all()) {
      await button.click();
      await panel.getByRole("button", { name: /Copy|Copied/ }).click();
      await panel.getByText("Copied").waitFor();
      const name = (await button.getAttribute("title")) ?? "";
      texts.set(name, await page.evaluate(() => navigator.clipboard.readText()));
    }
  }
  return texts;
}

async function checkPlan(page: Page, what: string, spec: CheckedSpec, name: string): Promise<void> {
  const attention = spec.attentions.find((each) => each.name === name);
  if (attention === undefined) throw new Error(`there is no ${name}`);
  const facts = attentionFacts(spec.stacks, resolve(attention, "spec.mta"), { batch: 1, length: 1024 });
  const { plan } = explain(facts, { target: "webgpu", limits: WEBGPU_COMMON_LIMITS });
  await showTab(page, "plan");
  const panel = page.locator(".panel[data-panel=plan]");
  const chosen = (await panel.locator(".chosen > *").allInnerTexts()).join(" | ");
  const knobs = Object.entries(plan?.knobs ?? {}).map(([knob, value]) => `${knob} ${value}`);
  report(
    `${what}: plan as in Node`,
    difference(chosen, [plan?.schedule, plan?.storage, ...knobs].join(" | ")),
  );
  const values = await panel.locator(".tile-value").allInnerTexts();
  const wanted = [formatCount(plan?.cost.multiplyAdds ?? 0), formatBytes(plan?.cost.bytes ?? 0)];
  report(
    `${what}: cost as in Node`,
    difference(values.slice(0, 2).join(", "), wanted.join(", ")),
    wanted.join(", "),
  );
  const kernels = await panel.getByRole("region", { name: "kernels" }).locator("tbody tr").count();
  report(`${what}: kernels of the plan`, kernels === plan?.kernels.length ? null : `${kernels} rows`);
}

async function checkDiagnostics(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL });
  await write(page, SMALL.replace("causal", "casual"));
  await page.waitForSelector(".problem");
  const problem = await page.locator(".problem").first().innerText();
  const fine = problem.includes("MTA115") && problem.includes("4:13");
  report("an error has its code and place", fine ? null : problem, problem.split("\n").slice(0, 2).join(" "));
  const marked = await page.locator(".cm-lintRange-error").innerText();
  report("the error is marked in the text", difference(marked, "casual"));
  const stale = await page.locator(".panels.stale").count();
  report("what compiled last is shown as such", stale === 1 ? null : "it is not");
  await page.locator(".problem").first().click();
  await page.keyboard.type("x");
  report(
    "a problem leads to its place",
    difference((await specText(page)).split("\n")[3] ?? "", "  mask      xcasual"),
  );
  await page.keyboard.press("Backspace");
  await page.locator(".cm-lintRange-error").hover();
  await page.locator(".cm-diagnosticAction").first().click();
  await compiled(page);
  report("a fix is applied", difference((await specText(page)).trimEnd(), SMALL.trimEnd()));
  await page.context().close();
}

/** A spec that keeps the planner busy for minutes is given up when another takes its place. */
async function checkSlowSpec(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL, length: 1_048_576 });
  const slow = SMALL.replace("conv 2x3   mix 2", "conv 2x3 ".repeat(200)).replace("small", "slow");
  await write(page, slow);
  await page.waitForTimeout(1000);
  await write(page, SMALL.replace("small", "quick"));
  await page.waitForFunction(() => document.querySelector("h1")?.textContent === "quick", undefined, {
    timeout: 20_000,
  });
  report("a slow spec does not keep others waiting", null);
  await page.context().close();
}

async function checkCompletion(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL });
  await write(page, "attention a {\n  he");
  await editorOf(page).press("Control+Space");
  await page.waitForSelector(".cm-tooltip-autocomplete li");
  const labels = await page.locator(".cm-completionLabel").allInnerTexts();
  report(
    "completion offers words of the place",
    labels.includes("heads") && labels.includes("head_dim") ? null : labels.join(" "),
    labels.join(" "),
  );
  // The editor takes no Enter in the list's first moments: it may have been meant for the text.
  await page.waitForTimeout(200);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".cm-tooltip-autocomplete") === null);
  const line = (await specText(page)).split("\n")[1] ?? "";
  report("completion writes", /^ {2}heads/.test(line) ? null : line, line);
  await write(page, SMALL);
  await compiled(page);
  await page.locator(".source-editor .cm-line", { hasText: "scores" }).getByText("conv").hover();
  const text = await page.locator(".cm-tooltip-hover .prose").innerText();
  report("hover says what a stage does", text.includes("scores.conv.weight") ? null : text.slice(0, 200));
  await page.context().close();
}

async function checkFormat(site: Site): Promise<void> {
  const messy = SMALL.replaceAll("   ", " ").replace("heads ", "heads\t  ");
  const formatted = format(messy, "spec.mta");
  const page = await openSpec(site, { spec: messy });
  const before = await editorOf(page).textContent();
  await page.keyboard.press("Shift+Alt+F");
  await page.waitForFunction((old) => document.querySelector(".cm-content")?.textContent !== old, before);
  const wanted = "text" in formatted ? formatted.text : "";
  report("the formatter's layout", difference((await specText(page)).trimEnd(), wanted.trimEnd()));
  await page.context().close();
}
