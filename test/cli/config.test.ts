import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { MAIN, mtac, temporaryFolder, write } from "./harness.ts";

const SPEC = "attention small { heads 2 head_dim 8 scores { conv 2x3 } }\n";

/** A project of its own: a folder with a package.json, where the search for a config ends. */
function project(name: string, files: Readonly<Record<string, string>>): string {
  const folder = path.join(root, name);
  mkdirSync(folder);
  write(folder, "package.json", "{}");
  for (const [file, text] of Object.entries(files)) write(folder, file, text);
  return folder;
}

/** `mtac compile --watch --json` in a folder, round by round. */
function watching(folder: string, ...words: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, "compile", "--watch", "--json", ...words], { cwd: folder });
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const rounds = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    nextRound: async (): Promise<object> => {
      const { value, done } = await rounds.next();
      if (done === true) throw new Error(`mtac has ended: ${complaints}`);
      return JSON.parse(value);
    },
    complaints: () => complaints,
    stop: () => child.kill(),
  };
}

const root = temporaryFolder();
const CONFIG = `import { defineConfig } from "mtac";
export default defineConfig({ specs: ["small.mta"], targets: ["wgsl"], out: "made", length: 64 });
`;

describe("mtac.config.ts", () => {
  test("says what to compile, into which folder; flags come before it", () => {
    const folder = project("whole", { "small.mta": SPEC, "mtac.config.ts": CONFIG });
    const compiled = mtac(["compile", "--json"], { cwd: folder });
    expect(compiled).toMatchObject({ code: 0 });
    expect(JSON.parse(compiled.stdout)).toMatchObject([{ out: "made", cuda: [] }]);
    expect(existsSync(path.join(folder, "made/small.ts"))).toBe(true);
    expect(existsSync(path.join(folder, "made/small.cu"))).toBe(false);
    const named = mtac(["compile", "small.mta", "--target", "cuda", "--out", "other", "--no-ptxas"], {
      cwd: folder,
    });
    expect(named.code).toBe(0);
    expect(existsSync(path.join(folder, "other/small.cu"))).toBe(true);
    expect(existsSync(path.join(folder, "other/small.scores.wgsl"))).toBe(false);
  });

  test("is found from folders below, and names specs for check and fmt", () => {
    const folder = project("above", { "small.mta": SPEC, "mtac.config.ts": CONFIG });
    mkdirSync(path.join(folder, "below"));
    const checked = mtac(["check"], { cwd: path.join(folder, "below") });
    expect(checked.stdout).toContain("1 file without errors");
    const formatted = mtac(["fmt", "--check", "--json"], { cwd: folder });
    expect(JSON.parse(formatted.stdout)).toMatchObject([{ file: "small.mta", changed: true }]);
  });

  test("as JavaScript needs no ts-morph, and may be named", () => {
    const folder = project("script", {
      "small.mta": SPEC,
      "other.mjs": 'export default { specs: ["small.mta"], targets: ["cuda"], architectures: ["sm_90a"] };',
    });
    const compiled = mtac(["compile", "--config", "other.mjs", "--json", "--no-launcher"], { cwd: folder });
    expect(compiled).toMatchObject({ code: 0 });
    expect(readFileSync(path.join(folder, "small.mtac/small.cmake"), "utf8")).toContain('"90a"');
  });

  test.each([
    ["an unknown setting", "{ lenght: 3 }", "there is no setting `lenght`", "did you mean `length`?"],
    ["no target", "{ targets: [] }", "`targets` is []", "one or more of"],
    [
      "a wrong value",
      '{ targets: ["glsl"] }',
      '`targets` is ["glsl"]',
      'give an array of one or more of "webgpu", "cuda"',
    ],
    ["a wrong number", "{ length: 0.5 }", "`length` is 0.5", "give a whole number, at least 1"],
    ["a wrong schedule", '{ schedule: "fast" }', '`schedule` is "fast"', 'one of "single_pass"'],
    ["no object", "3", "its default export is no object", "export settings as default"],
    ["what throws", '(() => { throw new Error("oh no"); })()', "oh no", "export settings as default"],
  ])("%s is refused with MTA926", (what, value, message, remedy) => {
    const folder = project(what.replaceAll(" ", "-"), { "mtac.config.ts": `export default ${value};` });
    const { code, stderr } = mtac(["compile"], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain("MTA926");
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });

  test("what a config inherits is none of its settings, and a folder is no config", () => {
    const folder = project("inherited", {
      "small.mta": SPEC,
      "mtac.config.ts": 'export default { specs: ["small.mta"], __proto__: { out: 5, targets: "none" } };',
    });
    expect(mtac(["compile", "--no-launcher"], { cwd: folder })).toMatchObject({ code: 0 });
    const { code, stderr } = mtac(["compile", "--config", "."], { cwd: folder });
    expect(stderr).toContain("it is a folder");
    expect(code).toBe(2);
  });

  test("no spec anywhere is MTA927", () => {
    const folder = project("nothing", {});
    for (const command of ["compile", "check", "fmt"]) {
      const { code, stderr } = mtac([command], { cwd: folder });
      expect(code).toBe(2);
      expect(stderr).toContain("MTA927");
    }
  });
});

describe("mtac compile", () => {
  test("refuses two specs that would write one file, and writes nothing", () => {
    const folder = project("shared", {
      "one.mta": SPEC,
      "two.mta": SPEC.replace("2x3", "3x3"),
      "mtac.config.js":
        'export default { specs: ["one.mta", "two.mta"], out: "out", targets: ["webgpu"] };\n',
    });
    const { code, stderr } = mtac(["compile"], { cwd: folder });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/MTA930.*one\.mta and two\.mta/)]);
    expect(existsSync(path.join(folder, "out"))).toBe(false);
    // A spec that is named twice is one.
    write(
      folder,
      "mtac.config.js",
      'export default { specs: ["one.mta", "./one.mta"], out: "out", targets: ["webgpu"] };\n',
    );
    expect(mtac(["compile"], { cwd: folder }).code).toBe(0);
  });

  test("leaves files alone that would not change", () => {
    const folder = project("again", { "small.mta": SPEC });
    const options = ["compile", "small.mta", "--target", "wgsl"];
    mtac(options, { cwd: folder });
    const times = (): readonly number[] =>
      ["small.ts", "small.plan.json"].map((name) => statSync(path.join(folder, "small.mtac", name)).mtimeMs);
    const before = times();
    expect(mtac(options, { cwd: folder }).code).toBe(0);
    expect(times()).toEqual(before);
  });

  test("--watch compiles again, reports what is broken and keeps the last good files", async () => {
    const folder = project("watched", { "small.mta": SPEC, "mtac.config.ts": CONFIG });
    const { nextRound, complaints, stop } = watching(folder);
    try {
      const spec = path.join(folder, "small.mta");
      const launcher = (name: string): string => readFileSync(path.join(folder, name), "utf8");
      expect(await nextRound()).toMatchObject({ out: "made" });
      writeFileSync(spec, SPEC.replace("2x3", "2x5"));
      expect(await nextRound()).toMatchObject({ out: "made" });
      expect(launcher("made/small.ts")).toContain("[2, 1, 2, 5]");
      writeFileSync(spec, SPEC.replace("2x3", "huge"));
      expect(await nextRound()).toMatchObject({ error: { code: "spec" }, diagnostics: [{ code: "MTA114" }] });
      expect(launcher("made/small.ts")).toContain("[2, 1, 2, 5]");
      writeFileSync(spec, SPEC);
      expect(await nextRound()).toMatchObject({ out: "made" });
      expect(launcher("made/small.ts")).toContain("[2, 1, 2, 3]");
      writeFileSync(path.join(folder, "mtac.config.ts"), CONFIG.replace("made", "moved"));
      expect(await nextRound()).toMatchObject({ out: "moved" });
      writeFileSync(spec, SPEC.replace("2x3", "2x5"));
      expect(await nextRound()).toMatchObject({ out: "moved" });
      expect(complaints()).toContain("watching small.mta, mtac.config.ts");
    } finally {
      stop();
    }
  });

  test("--watch sees folders go and come, and a config that is added", async () => {
    const folder = project("moving", { "small.mta": SPEC });
    const { nextRound, stop } = watching(folder, "specs/small.mta", "--target", "wgsl", "--no-launcher");
    /** Removing a folder takes several steps, which may be several rounds. */
    const roundWith = async (key: "out" | "error"): Promise<object> => {
      const round = await nextRound();
      return key in round ? round : roundWith(key);
    };
    const place = path.join(folder, "specs");
    const comes = (): void => {
      mkdirSync(`${place}.new`);
      copyFileSync(path.join(folder, "small.mta"), path.join(`${place}.new`, "small.mta"));
      renameSync(`${place}.new`, place);
    };
    try {
      expect(await roundWith("error")).toMatchObject({ error: { code: "MTA905" } });
      comes();
      await roundWith("out");
      rmSync(place, { recursive: true });
      expect(await roundWith("error")).toMatchObject({ error: { code: "MTA905" } });
      comes();
      expect(await roundWith("out")).toMatchObject({ out: "small.mtac" });
      writeFileSync(path.join(folder, "mtac.config.ts"), CONFIG);
      expect(await roundWith("out")).toMatchObject({ out: "made" });
    } finally {
      stop();
    }
  });
});
