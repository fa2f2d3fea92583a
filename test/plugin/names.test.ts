import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BUNDLERS, project } from "./hosts.ts";

/** Characters that file systems take and that mean something in the address of a module. */
const NAMES = ["a#b.mta", "a?b.mta", "#.mta", "a?mtac=used.mta", "a%23b.mta", "a&b=c.mta", "a b.mta"];

describe.each(Object.entries(BUNDLERS))("%s", (host, bundle) => {
  test.each(NAMES)("bundles a spec named %s", async (name) => {
    const folder = project();
    renameSync(join(folder, "spec.mta"), join(folder, name));
    const main = readFileSync(join(folder, "main.js"), "utf8");
    writeFileSync(join(folder, "main.js"), main.replace("./spec.mta", `./${name}`));
    if (host === "webpack" && name.includes("?")) {
      await expect(bundle(folder, { types: false })).rejects.toThrow(
        /webpack cannot load .*rename the spec|MTA962/,
      );
      return;
    }
    const { code, warnings } = await bundle(folder, { types: false });
    expect(code).toContain("used.attention.wgsl");
    expect(code).not.toContain("unused.");
    expect(warnings).toEqual([]);
  });
});
