import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "./blocks.ts";

const text = readFileSync(join(ROOT, "CONTRIBUTING.md"), "utf8");
/** Paths between backticks; `<target>` and the like stand for many. */
const paths = [
  ...text.matchAll(/`((?:compiler|docs|examples|runtime|templates|test)\/[^`\s<>*]*)`/g),
].flatMap(([, path = ""]) => (path.includes("<") ? [] : [path]));

test.each([...new Set(paths)])("CONTRIBUTING.md names %s, which is there", (path) => {
  expect(existsSync(join(ROOT, path)) || existsSync(join(ROOT, `${path}.ts`))).toBe(true);
});
