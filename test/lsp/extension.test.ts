import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KEYWORDS } from "../../compiler/language/words.ts";
import { serverChoices } from "../../examples/vscode/src/server-choice.ts";
import { Client } from "./client.ts";

const EXTENSION = fileURLToPath(new URL("../../examples/vscode/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mtac-vscode-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder of a workspace, with a package mtac installed in it. */
function workspaceWith(name: string, manifest: unknown, files: readonly string[] = []): string {
  const root = join(folder, name);
  const installed = join(root, "node_modules", "mtac");
  mkdirSync(join(installed, "dist", "cli"), { recursive: true });
  writeFileSync(
    join(installed, "package.json"),
    typeof manifest === "string" ? manifest : JSON.stringify(manifest),
  );
  for (const file of files) writeFileSync(join(installed, file), "");
  return root;
}

describe("which server starts", () => {
  const bundled = "/extension/dist/server.mjs";
  const own = { kind: "module", path: bundled, args: [], origin: "comes with the extension" };
  const base = { setting: "", folders: [], trusted: true, bundled };

  test("the extension's own, where there is no other", () => {
    const empty = join(folder, "empty");
    expect(serverChoices(base)).toEqual([own]);
    expect(serverChoices({ ...base, folders: [empty] })).toEqual([own]);
    const broken = workspaceWith("broken", "{ no json");
    const without = workspaceWith("without", { bin: { mtac: "./dist/cli/main.js" } });
    const strange = workspaceWith("strange", { bin: ["x"] });
    expect(serverChoices({ ...base, folders: [broken, without, strange] })).toEqual([own]);
  });

  test("the workspace's, then the extension's", () => {
    const installed = workspaceWith("installed", { bin: { mtac: "./dist/cli/main.js" } }, [
      "dist/cli/main.js",
    ]);
    const path = join(installed, "node_modules/mtac/dist/cli/main.js");
    expect(serverChoices({ ...base, folders: [join(folder, "empty"), installed] })).toEqual([
      { kind: "module", path, args: ["lsp"], origin: `installed in ${installed}` },
      own,
    ]);
  });

  test("the setting's before all", () => {
    const at = (setting: string) => serverChoices({ ...base, folders: ["/work"], setting })[0];
    expect(at("mtac")).toMatchObject({ kind: "command", path: "mtac", args: ["lsp"] });
    expect(at("tools/main.js")).toMatchObject({ kind: "module", path: join("/work", "tools/main.js") });
    expect(at("/opt/mtac/main.mjs")).toMatchObject({ kind: "module", path: "/opt/mtac/main.mjs" });
  });

  test("never the workspace's, nor the setting's, without trust", () => {
    const installed = workspaceWith("untrusted", { bin: { mtac: "./dist/cli/main.js" } }, [
      "dist/cli/main.js",
    ]);
    expect(serverChoices({ ...base, folders: [installed], setting: "./evil.js", trusted: false })).toEqual([
      own,
    ]);
  });
});

describe("what is built", () => {
  beforeAll(() => {
    execFileSync(process.execPath, [join(EXTENSION, "build.mjs")], { stdio: "inherit" });
    // Elsewhere, as an editor installs it: nothing beside it may be needed.
    cpSync(EXTENSION, join(folder, "extension"), { recursive: true });
  });

  const read = (file: string): string => readFileSync(join(folder, "extension", file), "utf8");

  test("the manifest names only what is there", () => {
    const { main, files, contributes } = JSON.parse(read("package.json"));
    const [language] = contributes.languages;
    const [grammar] = contributes.grammars;
    for (const file of [main, ...files, language.configuration, grammar.path])
      expect(existsSync(join(folder, "extension", file)), file).toBe(true);
    expect(JSON.parse(read(grammar.path)).scopeName).toBe(grammar.scopeName);
    expect(language).toMatchObject({ id: grammar.language, extensions: [".mta"] });
  });

  test("the client needs the editor and Node, and nothing else", () => {
    const required = [...read("dist/extension.cjs").matchAll(/\brequire\("([^"]+)"\)/g)].map(
      ([, name]) => name ?? "",
    );
    const modules = new Set(required.map((name) => name.replace(/^node:/, "")));
    expect(modules).toContain("vscode");
    expect([...modules].filter((name) => name !== "vscode" && !builtinModules.includes(name))).toEqual([]);
  });

  test("the server that comes with it serves", async () => {
    const client = new Client([], join(folder, "extension/dist/server.mjs"));
    const { serverInfo } = await client.initialize();
    expect(serverInfo).toEqual({ name: "mtac", version: JSON.parse(read("package.json")).version });
    await client.open("file:///a.mta", "attention a { head 2 }");
    expect((await client.diagnostics("file:///a.mta", 1)).map(({ code }) => code)).toContain("MTA113");
    expect(await client.stop()).toBe(0);
  });

  test("the language's words are words for the editor", () => {
    const { wordPattern } = JSON.parse(read("language-configuration.json"));
    const whole = new RegExp(`^(?:${wordPattern})$`);
    for (const word of [...KEYWORDS, "6x11", "1e-5", "0.5"]) expect(word).toMatch(whole);
  });

  test("blocks indent and unindent", () => {
    const { indentationRules } = JSON.parse(read("language-configuration.json"));
    const increase = new RegExp(indentationRules.increaseIndentPattern);
    expect(
      ["attention a {", "  scores {", "  heads 2 // {", "  output { norm }"].map((line) =>
        increase.test(line),
      ),
    ).toEqual([true, true, false, false]);
    expect(new RegExp(indentationRules.decreaseIndentPattern).test("  }")).toBe(true);
  });
});
