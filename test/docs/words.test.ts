import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RANGES } from "../../compiler/language/ranges.ts";
import { KEYWORDS } from "../../compiler/language/words.ts";
import { ROOT } from "./blocks.ts";

const page = readFileSync(join(ROOT, "docs/language.md"), "utf8");
/** What stands between backticks in the text: examples explain nothing. */
const explained = [...page.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].flatMap(
  ([, code = ""]) => code.match(/[a-z_0-9]+/gi) ?? [],
);

test.each(KEYWORDS)("docs/language.md explains `%s`", (word) => {
  expect(explained).toContain(word);
});

test.each(Object.entries(RANGES))("docs/language.md gives the range of %s", (_name, { min, max }) => {
  const shown = (value: number): string => String(value).replace("-", "−");
  const spelled = [String(min), shown(min)].map((low) => `${low} … ${String(max)}`);
  const texts = [...spelled, `${min.toExponential().replace("+", "")} … ${max}`];
  // Layers and steps are bounded by the stack's own number of layers.
  const isInStack = max === RANGES.layer.max || max === RANGES.step.max;
  expect(isInStack || texts.some((text) => page.includes(text)), texts.join(" or ")).toBe(true);
});
