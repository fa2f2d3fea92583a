import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
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
    const at = (setting: string) => serverChoices({ ...base, folders: ["/project"], setting })[0];
    expect(at("mtac")).toMatchObject({ kind: "command", path: "mtac", args: ["lsp"] });
    expect(at("tools/main.js")).toMatchObject({ kind: "module", path: join("/project", "tools/main.js") });
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

  /** What the extension does in an editor. */
  function activated(setting: string, workspace: string): { registered: string[]; messages: string[] } {
    const double = fileURLToPath(new URL("editor-double.mjs", import.meta.url));
    const args = [double, join(folder, "extension"), setting, workspace];
    const output = execFileSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 });
    return JSON.parse(output.trim().split("\n").at(-1) ?? "");
  }

  test("the client starts the server and offers an editor everything that it can", () => {
    const { registered, messages } = activated("", "");
    expect(messages[0]).toMatch(/^info: language server: .*dist\/server\.mjs \(comes with the extension\)$/);
    expect(registered).toEqual(
      expect.arrayContaining([
        "registerCodeActionsProvider",
        "registerCommand",
        "registerCompletionItemProvider",
        "registerDefinitionProvider",
        "registerDocumentFormattingEditProvider",
        "registerDocumentSymbolProvider",
        "registerHoverProvider",
        "registerReferenceProvider",
        "registerRenameProvider",
      ]),
    );
  });

  test("the client starts the workspace's own mtac; where that fails, its own", () => {
    const root = join(folder, "with-mtac");
    mkdirSync(join(root, "node_modules"), { recursive: true });
    symlinkSync(fileURLToPath(new URL("../../", import.meta.url)), join(root, "node_modules/mtac"));
    const own = activated("", root);
    expect(own.messages[0]).toContain(`installed in ${root}`);
    expect(own.registered).toContain("registerHoverProvider");
    const old = workspaceWith("old", { bin: { mtac: "./dist/cli/main.js" } }, ["dist/cli/main.js"]);
    const { messages, registered } = activated("", old);
    expect(messages.some((text) => /^error: .*does not start/.test(text))).toBe(true);
    expect(messages.filter((text) => text.startsWith("info: language server: "))).toEqual([
      expect.stringContaining("comes with the extension"),
    ]);
    // The one that failed is not started again: two would answer.
    expect(messages.filter((text) => text.includes("will restart"))).toEqual([]);
    expect(registered).toContain("registerHoverProvider");
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
