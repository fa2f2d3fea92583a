import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type DefaultTheme, defineConfig } from "vitepress";
import { captionFiles } from "./captions.ts";
import { slugify } from "./slugify.ts";
import { dropEmptyHeads } from "./tables.ts";

const grammar: { scopeName: string; patterns: []; repository: Record<string, never> } = JSON.parse(
  readFileSync(new URL("../../examples/vscode/syntaxes/mta.tmLanguage.json", import.meta.url), "utf8"),
);

/** A page's entry in the side bar, under its own first heading. */
function page(name: string): DefaultTheme.SidebarItem {
  const text = readFileSync(new URL(`../${name}.md`, import.meta.url), "utf8");
  return {
    text: /^# (.+)$/m.exec(text)?.[1]?.replaceAll("`", "") ?? name,
    link: `/${name.replace(/\bindex$/, "")}`,
  };
}

/** Those of the pages that there are: `api` is written by `npm run docs`. */
function group(title: string, names: readonly string[]): DefaultTheme.SidebarItem {
  const there = names.filter((name) => existsSync(new URL(`../${name}.md`, import.meta.url)));
  return { text: title, items: there.map((name) => page(name)) };
}

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  "Start here": ["start/node", "start/vite", "start/browser", "start/cpp"],
  "The language": ["language", "semantics", "examples"],
  Use: [
    "decoding",
    "documents",
    "weights",
    "gradients",
    "pytorch",
    "build-step",
    "compiler-in-a-page",
    "cpu",
    "cuda",
    "tuning",
  ],
  Understand: ["how-it-works", "platforms"],
  Reference: ["command-line", "errors", "api/index"],
};

/** Pages that no group names: none is lost when one is added. */
function others(): readonly string[] {
  const named = new Set(["index", ...Object.values(GROUPS).flat()]);
  return readdirSync(new URL("../", import.meta.url))
    .filter((file) => file.endsWith(".md"))
    .map((file) => file.slice(0, -".md".length))
    .filter((name) => !named.has(name));
}

export default defineConfig({
  title: "mtac",
  description: "The compiler for Multi-Token Attention",
  lang: "en",
  // The folder of a server in which the site lies, as `/mtac/`.
  base: process.env["DOCS_BASE"] ?? "/",
  // The build puts programs there, which are pages of their own.
  ignoreDeadLinks: [/^\/(?:playground|toy)\//],
  markdown: {
    languages: [{ ...grammar, name: "mta" }],
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    anchor: { slugify },
    config: (markdown) => {
      captionFiles(markdown);
      dropEmptyHeads(markdown);
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: { level: [2, 3] },
    nav: [
      { text: "Start here", link: "/start/node", activeMatch: "/start/" },
      { text: "Language", link: "/language" },
      { text: "Errors", link: "/errors" },
      { text: "API", link: "/api/" },
      { text: "Playground", link: "/playground/", target: "_self" },
      { text: "Find the block", link: "/toy/", target: "_self" },
    ],
    sidebar: [
      ...Object.entries(GROUPS).map(([title, names]) => group(title, names)),
      group("More", others()),
    ].filter(({ items = [] }) => items.length > 0),
  },
});
