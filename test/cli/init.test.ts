import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { packageVersion } from "../../compiler/package.ts";
import { mtac, temporaryFolder, write } from "./harness.ts";

// That the project installs, builds and passes its tests is checked by test/examples, which may ask npm's registry.

const root = temporaryFolder();

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

describe("mtac init", () => {
  test("writes a project whose spec is formatted and right, named after its folder", () => {
    const folder = path.join(root, "My Attention!");
    const { code, stdout } = mtac(["init", folder, "--json"]);
    expect(code).toBe(0);
    const { name, files } = JSON.parse(stdout);
    expect(name).toBe("my-attention");
    expect(filesOf(folder)).toEqual([...files].sort());
    expect(files).toEqual(
      expect.arrayContaining([
        ".gitignore",
        "index.html",
        "mtac.config.ts",
        "package.json",
        "src/attention.mta",
        "src/main.ts",
        "test/attention.test.ts",
        "vite.config.ts",
      ]),
    );
    const manifest = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
    expect(manifest).toMatchObject({ name: "my-attention", dependencies: { mtac: `^${packageVersion()}` } });
    // Its config names the spec.
    expect(mtac(["check"], { cwd: folder })).toMatchObject({ code: 0, stderr: "" });
    expect(mtac(["fmt", "--check"], { cwd: folder })).toMatchObject({ code: 0 });
    for (const file of files) expect(readFileSync(path.join(folder, file), "utf8"), file).not.toContain("{{");
  });

  test.each([
    ["my-attention", "my-attention", "my-attention"],
    ["Mon étude #1", "mon-etude-1", "'Mon étude #1'"],
    ["it's $HOME", "it-s-home", "'it'\\''s $HOME'"],
    ["-odd", "odd", "./-odd"],
  ])("in the folder %s it is %s, and `cd %s` leads there", (folder, name, word) => {
    const cwd = path.join(root, "folders");
    mkdirSync(cwd, { recursive: true });
    const { stdout } = mtac(["init", "--", folder], { cwd });
    expect(stdout).toContain(`\n  cd ${word}\n`);
    const manifest = JSON.parse(readFileSync(path.join(cwd, folder, "package.json"), "utf8"));
    expect(manifest).toMatchObject({ name });
  });

  test("touches nothing where a file is in the way", () => {
    const folder = path.join(root, "taken");
    mkdirSync(folder);
    write(folder, "index.html", "mine");
    const { code, stderr } = mtac(["init"], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain("MTA928");
    expect(stderr).toContain("index.html");
    expect(filesOf(folder)).toEqual(["index.html"]);
    expect(readFileSync(path.join(folder, "index.html"), "utf8")).toBe("mine");
  });

  test("refuses a name that npm would refuse, before it writes", () => {
    const folder = path.join(root, "unnamed");
    const { code, stderr } = mtac(["init", folder, "--name", '"><script>']);
    expect(code).toBe(2);
    expect(stderr).toContain("MTA900");
    expect(existsSync(folder)).toBe(false);
  });
});
