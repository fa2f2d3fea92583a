import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ModuleCache } from "../../compiler/plugin/cache.ts";
import type { SpecBuild } from "../../compiler/plugin/spec-modules.ts";
import { DiskCache } from "../../runtime/contract/disk-cache.ts";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "mtac-cache-"));
  afterAll(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function buildOf(declarations: string): SpecBuild {
  const contents = { spec: "spec.mta", suffix: "", attentions: ["a"], stacks: [] } as const;
  return { contents, modules: { a: { code: "export {};", map: null } }, declarations };
}

describe("builds", () => {
  test("are made once, however many ask", async () => {
    const cache = new ModuleCache(null);
    let made = 0;
    const make = async (): Promise<SpecBuild> => buildOf(`${++made}`);
    const builds = await Promise.all([cache.get("k", make), cache.get("k", make)]);
    expect(builds).toEqual([buildOf("1"), buildOf("1")]);
    expect(await cache.get("other", make)).toEqual(buildOf("2"));
  });

  test("that fail are made again", async () => {
    const cache = new ModuleCache(folder());
    await expect(cache.get("k", () => Promise.reject(new Error("once")))).rejects.toThrow("once");
    expect(await cache.get("k", async () => buildOf("again"))).toEqual(buildOf("again"));
  });

  test("outlive the process; a damaged one is made and written again", async () => {
    const kept = folder();
    const never = (): Promise<SpecBuild> => Promise.reject(new Error("made, though it was there"));
    await new ModuleCache(kept).get("k", async () => buildOf("first"));
    expect(await new ModuleCache(kept).get("k", never)).toEqual(buildOf("first"));
    for (const damage of ["", "nonsense", readFileSync(join(kept, "k"), "utf8").replace("first", "worst")]) {
      writeFileSync(join(kept, "k"), damage);
      expect(await new ModuleCache(kept).get("k", async () => buildOf("first"))).toEqual(buildOf("first"));
      expect(await new ModuleCache(kept).get("k", never)).toEqual(buildOf("first"));
    }
    expect(readdirSync(kept)).toEqual(["k"]);
  });

  test("need no folder that can be written", async () => {
    const file = join(folder(), "file");
    writeFileSync(file, "");
    expect(await new ModuleCache(join(file, "below")).get("k", async () => buildOf("a"))).toEqual(
      buildOf("a"),
    );
  });
});

test("a cache on disk drops what was not used for the longest time", async () => {
  const kept = folder();
  const cache = new DiskCache(kept, { format: "f", most: 2 });
  const age = (name: string, seconds: number): void => utimesSync(join(kept, name), seconds, seconds);
  await cache.write("a", Buffer.of(1));
  await cache.write("b", Buffer.of(2));
  age("a", 1000);
  age("b", 2000);
  expect(await cache.read("a")).toEqual(Buffer.of(1));
  await cache.write("c", Buffer.of(3));
  expect(readdirSync(kept).sort()).toEqual(["a", "c"]);
  expect(await new DiskCache(kept, { format: "g" }).read("a")).toBeNull();
});
