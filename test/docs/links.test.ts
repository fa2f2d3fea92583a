import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { slugify } from "../../docs/.vitepress/slugify.ts";
import { pages, ROOT } from "./blocks.ts";

// Links between pages, and to files of the package, lead somewhere: the page is there, and has the heading. TypeDoc writes docs/api
// when the site is built.

const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;

/** A page's text, without its code. */
function prose(page: string): string {
  return readFileSync(join(ROOT, page), "utf8").replace(/^ *(`{3,}|~{3,})[\s\S]*?^ *\1$/gm, "");
}

/** The anchors of a page's headings, as the site makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) => text);
  return new Set(headings.map((text) => slugify(text)));
}

function faultOf(page: string, target: string): string | null {
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? page : join(dirname(page), path).replaceAll("\\", "/");
  if (/^docs\/(?:api|playground|toy)\//.test(file)) return null;
  if (!existsSync(join(ROOT, file))) return `${target}: there is no ${file}`;
  if (anchor === undefined || !file.endsWith(".md")) return null;
  return anchorsOf(file).has(anchor) ? null : `${target}: ${file} has no heading of that name`;
}

test.each([...pages(), "README.md"])("the links of %s", (page) => {
  const targets = [...prose(page).matchAll(LINK)].map(([, target = ""]) => target);
  const inside = targets.filter((target) => !/^[a-z]+:/.test(target));
  expect(inside.map((target) => faultOf(page, target)).filter((fault) => fault !== null)).toEqual([]);
});

test.each(pages())("%s links codes to what the page of errors says of them", (page) => {
  const links = [...prose(page).matchAll(/\[`?(MTA\d{3})`?\]\([^)#]*errors\.md(#\w+)?\)/g)];
  expect(
    links.filter(([, code = "", anchor]) => anchor !== `#${code.toLowerCase()}`).map(([link]) => link),
  ).toEqual([]);
});
