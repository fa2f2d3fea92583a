import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ERROR_GUIDE, explainCode } from "../../compiler/error-guide/index.ts";
import { errorPage } from "../../compiler/error-guide/page.ts";
import { ROOT } from "./blocks.ts";

const GUIDE = "compiler/error-guide";

function codesInSources(): readonly string[] {
  const sources = ["compiler", "runtime"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
      .filter((file) => /\.(ts|py)$/.test(file) && !file.startsWith(GUIDE)),
  );
  const codes = sources.flatMap(
    (file) => readFileSync(join(ROOT, file), "utf8").match(/\bMTA\d{3}\b/g) ?? [],
  );
  return [...new Set(codes)].sort();
}

const explained = ERROR_GUIDE.flatMap(({ entries }) => Object.keys(entries)).sort();

test("every code of the sources has an entry in compiler/error-guide, and every entry is a code's", () => {
  const codes = codesInSources();
  expect(codes.length).toBeGreaterThan(200);
  expect(explained).toEqual(codes);
});

test.each(explained)("%s says what, why and what to do", (code) => {
  const entry = explainCode(code);
  expect(entry?.meaning).toMatch(/^\S.{5,}[^.]$/);
  expect(entry?.cause).toMatch(/^\S.{15,}\.$/s);
  expect(entry?.remedy).toMatch(/^\S.{10,}\.$/s);
});

test("docs/errors.md is what `npm run docs:errors` writes", () => {
  expect(readFileSync(join(ROOT, "docs/errors.md"), "utf8")).toBe(errorPage());
});

/** A bundle and all that it imports at once. */
function bundleOf(entry: string, seen = new Map<string, string>()): string {
  const file = join(ROOT, "dist", entry);
  if (seen.has(file)) return "";
  const text = readFileSync(file, "utf8");
  seen.set(file, text);
  for (const [, imported = ""] of text.matchAll(/(?:from|import)\s?"(\.[^"]+)"/g))
    bundleOf(join(dirname(entry), imported), seen);
  return [...seen.values()].join("\n");
}

test.each(["runtime/index.js", "runtime/cuda.js", "compiler/browser.js", "compiler/index.js", "cli/main.js"])(
  "%s does not carry the guide",
  (entry) => {
    const bundle = bundleOf(entry);
    expect(bundle).toContain("MTA");
    expect(bundle).not.toContain("centres the kernel on its key");
  },
);
