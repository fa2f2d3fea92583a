import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CodeActionRequest,
  CompletionRequest,
  DefinitionRequest,
  DidCloseTextDocumentNotification,
  DocumentFormattingRequest,
  DocumentHighlightRequest,
  DocumentSymbolRequest,
  HoverRequest,
  PrepareRenameRequest,
  ReferencesRequest,
  RenameRequest,
  ResponseError,
} from "vscode-languageserver-protocol";
import { TextDocument } from "vscode-languageserver-textdocument";
import { MAIN, mtac } from "../cli/harness.ts";
import { Client, placeOf } from "./client.ts";

const EXAMPLE = readFileSync(new URL("../../examples/mta_830m.mta", import.meta.url), "utf8");
const options = { tabSize: 2, insertSpaces: true };

describe("a client over stdio", () => {
  const client = new Client();
  afterAll(() => client.kill());
  const uri = "file:///my%20specs/mta_830m.mta";
  const textDocument = { uri };

  beforeAll(async () => {
    const { capabilities, serverInfo } = await client.initialize();
    expect(serverInfo).toEqual({ name: "mtac", version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(capabilities).toMatchObject({
      positionEncoding: "utf-16",
      // 2: the client sends what changed.
      textDocumentSync: { openClose: true, change: 2 },
      hoverProvider: true,
      completionProvider: {},
      definitionProvider: true,
      referencesProvider: true,
      documentHighlightProvider: true,
      documentFormattingProvider: true,
      documentSymbolProvider: true,
      renameProvider: { prepareProvider: true },
      codeActionProvider: { codeActionKinds: ["quickfix"] },
    });
    await client.open(uri, EXAMPLE);
  });

  test("diagnostics on open", async () => {
    expect(await client.diagnostics(uri, 1)).toEqual([]);
    const wrong = "file:///wrong.mta";
    await client.open(wrong, "attention a { head 2 head_dim 4 mask causl }\nconst n = 1 / 0\n");
    const found = await client.diagnostics(wrong, 1);
    expect(found.map(({ code }) => code)).toEqual(["MTA113", "MTA115", "MTA307"]);
    expect(found[0]).toMatchObject({
      source: "mtac",
      severity: 1,
      range: { start: { line: 0, character: 14 }, end: { line: 0, character: 18 } },
      message: expect.stringMatching(/unknown property `head`\nexpected: .*\nfix: did you mean `heads`\?/),
    });
  });

  test("diagnostics after edits, sent as changes, once they rest", async () => {
    const edited = "file:///edited.mta";
    const text = "// 😀 é\r\nattention a { heads 2 head_dim 4 }\r\n";
    await client.open(edited, text);
    expect(await client.diagnostics(edited, 1)).toEqual([]);
    // Three changes in a row, of the same line, behind a character of two units: one answer.
    const at = { line: 1, character: 14 };
    const insert = (version: number, offset: number, inserted: string) =>
      client.change(edited, version, [
        {
          range: { start: { line: 1, character: offset }, end: { line: 1, character: offset } },
          text: inserted,
        },
      ]);
    await Promise.all([
      insert(2, at.character, "/* 😀 */ "),
      insert(3, at.character + 9, "x"),
      insert(4, at.character + 10, "y "),
    ]);
    const found = await client.diagnostics(edited, 4);
    expect(found).toMatchObject([
      { code: "MTA113", range: { start: { line: 1, character: 23 }, end: { line: 1, character: 25 } } },
    ]);
    expect(client.count(edited)).toBe(2);
    const closed = client.nextPublished();
    await client.connection.sendNotification(DidCloseTextDocumentNotification.type, {
      textDocument: { uri: edited },
    });
    await closed;
    expect(client.count(edited)).toBe(3);
  });

  test("hover with shapes and cost", async () => {
    const hover = await client.connection.sendRequest(HoverRequest.type, {
      textDocument,
      position: placeOf(EXAMPLE, "mta_830m {"),
    });
    const text = JSON.stringify(hover?.contents);
    expect(text).toContain("[16, 1, 6, 11]");
    expect(text).toContain("2.99 G multiply-adds");
    expect(text).toMatch(/\| WebGPU \| \w+: .*× \| [\d.]+× \|.*\| CUDA, sm_80 \| \w+: .*× \| [\d.]+× \|/);
    expect(hover?.range).toEqual({
      start: placeOf(EXAMPLE, "mta_830m {", 0),
      end: placeOf(EXAMPLE, "mta_830m {", 8),
    });
    const stage = await client.connection.sendRequest(HoverRequest.type, {
      textDocument,
      position: placeOf(EXAMPLE, "conv 6x11"),
    });
    expect(JSON.stringify(stage?.contents)).toContain("66 multiply-adds");
    const blank = await client.connection.sendRequest(HoverRequest.type, {
      textDocument,
      position: { line: 1000, character: 0 },
    });
    expect(blank).toBeNull();
  });

  test("completion in several contexts, in a document that is being written", async () => {
    const draft = "file:///draft.mta";
    const base = "const reach = 6\nattention base { heads 16 head_dim 64 }\n";
    await client.open(draft, base);
    const end = { line: 2, character: 0 };
    let version = 1;
    const offered = async (text: string): Promise<string[]> => {
      version += 1;
      await client.change(draft, version, [{ text: base + text }]);
      const found = await client.connection.sendRequest(CompletionRequest.type, {
        textDocument: { uri: draft },
        position: { ...end, character: text.length },
      });
      return (Array.isArray(found) ? found : (found?.items ?? [])).map(({ label }) => label);
    };
    expect(await offered("")).toEqual(["attention", "stack", "const", "tune"]);
    expect(await offered("attention a extends ")).toEqual(["base"]);
    expect(await offered("attention a extends base { nor")).toContain("normalize");
    expect(await offered("attention a { dtype ")).toEqual(["f32", "f16", "bf16"]);
    expect(await offered("attention a { heads ")).toEqual(["reach"]);
    expect(await offered("attention a { output { ")).toEqual(["norm", "gate"]);
    expect(await offered("attention a { scores { conv 6x11 pad_key left ")).toEqual(
      expect.arrayContaining(["pad_query", "dilation", "mix"]),
    );
    expect(await offered("stack s { layers 2 use ")).toEqual(["base"]);
    expect(await offered("tune base { sweep ")).toEqual(expect.arrayContaining(["tile_q", "schedule"]));
  });

  test("definition of a base, of an attention in use, of a constant; references, highlights", async () => {
    const extended = placeOf(EXAMPLE, "extends mta_830m", 10);
    const target = { start: placeOf(EXAMPLE, "mta_830m {", 0), end: placeOf(EXAMPLE, "mta_830m {", 8) };
    for (const position of [extended, placeOf(EXAMPLE, "use mta_830m", 8)])
      expect(await client.connection.sendRequest(DefinitionRequest.type, { textDocument, position })).toEqual(
        {
          uri,
          range: target,
        },
      );
    const constants = "file:///constants.mta";
    const text = "const n = 4\nattention a { heads n head_dim (2 * n) }\n";
    await client.open(constants, text);
    const found = await client.connection.sendRequest(DefinitionRequest.type, {
      textDocument: { uri: constants },
      position: placeOf(text, "* n", 2),
    });
    expect(found).toEqual({
      uri: constants,
      range: { start: { line: 0, character: 6 }, end: { line: 0, character: 7 } },
    });
    const context = { includeDeclaration: true };
    const references = await client.connection.sendRequest(ReferencesRequest.type, {
      textDocument,
      position: extended,
      context,
    });
    const highlights = await client.connection.sendRequest(DocumentHighlightRequest.type, {
      textDocument,
      position: extended,
    });
    expect(references).toHaveLength(3);
    expect(highlights?.map(({ range }) => range)).toEqual(references?.map(({ range }) => range));
  });

  test("rename, and its refusal", async () => {
    const position = placeOf(EXAMPLE, "extends mta_830m", 10);
    const prepared = await client.connection.sendRequest(PrepareRenameRequest.type, {
      textDocument,
      position,
    });
    expect(prepared).toMatchObject({ placeholder: "mta_830m" });
    const edit = await client.connection.sendRequest(RenameRequest.type, {
      textDocument,
      position,
      newName: "full",
    });
    const edits = edit?.changes?.[uri] ?? [];
    const renamed = TextDocument.applyEdits(TextDocument.create(uri, "mta", 1, EXAMPLE), edits);
    expect(renamed).toBe(EXAMPLE.replace(/\bmta_830m\b/g, "full"));
    const refused = client.connection.sendRequest(RenameRequest.type, {
      textDocument,
      position,
      newName: "mta_830m_heads",
    });
    await expect(refused).rejects.toThrow(/declared already/);
    await expect(refused).rejects.toBeInstanceOf(ResponseError);
    const word = client.connection.sendRequest(PrepareRenameRequest.type, {
      textDocument,
      position: placeOf(EXAMPLE, "heads "),
    });
    await expect(word).rejects.toThrow(/only the names/);
  });

  test("formatting", async () => {
    const ugly = "file:///ugly.mta";
    const text = "attention a {heads 2\nhead_dim 4 }\n";
    await client.open(ugly, text);
    const edits = await client.connection.sendRequest(DocumentFormattingRequest.type, {
      textDocument: { uri: ugly },
      options,
    });
    const result = TextDocument.applyEdits(TextDocument.create(ugly, "mta", 1, text), edits ?? []);
    expect(result).toBe(mtac(["fmt", "-"], { input: text }).stdout);
    expect(result).not.toBe(text);
    const formatted = await client.connection.sendRequest(DocumentFormattingRequest.type, {
      textDocument,
      options,
    });
    expect(formatted).toEqual([]);
  });

  test("quick fixes and symbols", async () => {
    const typo = "file:///typo.mta";
    const text = "attention a { head 2 head_dim 4 }\n";
    await client.open(typo, text);
    const diagnostics = await client.diagnostics(typo, 1);
    const [first] = diagnostics;
    if (first === undefined) throw new Error("no diagnostic");
    const actions = await client.connection.sendRequest(CodeActionRequest.type, {
      textDocument: { uri: typo },
      range: first.range,
      context: { diagnostics },
    });
    expect(actions).toMatchObject([
      { title: "Change to `heads`", kind: "quickfix", edit: { changes: { [typo]: [{ newText: "heads" }] } } },
    ]);
    const symbols = await client.connection.sendRequest(DocumentSymbolRequest.type, { textDocument });
    expect(symbols?.map(({ name }) => name)).toEqual(["mta_830m", "mta_830m_heads", "mta_830m_model"]);
  });

  test("ends with 0 after shutdown, having written nothing to stderr", async () => {
    expect(await client.stop()).toBe(0);
    expect(client.stderr.join("")).toBe("");
  });
});

describe("the process", () => {
  test("ends with 1 on exit without shutdown", async () => {
    const client = new Client(["lsp", "--stdio", `--clientProcessId=${process.pid}`]);
    await client.initialize();
    expect(await client.leave()).toBe(1);
  });

  test("ends with 1 when its input closes", async () => {
    const client = new Client();
    await client.initialize();
    expect(await client.abandon()).toBe(1);
  });

  test("without snippets in the client, completions are plain", async () => {
    const client = new Client();
    await client.initialize(false);
    await client.open("file:///a.mta", "attention a { ");
    const found = await client.connection.sendRequest(CompletionRequest.type, {
      textDocument: { uri: "file:///a.mta" },
      position: { line: 0, character: 14 },
    });
    const items = Array.isArray(found) ? found : (found?.items ?? []);
    expect(items.length).toBeGreaterThan(5);
    for (const { insertTextFormat, textEdit, label } of items)
      expect([insertTextFormat, textEdit?.newText]).toEqual([undefined, label]);
    expect(await client.stop()).toBe(0);
  });

  test("costs other commands nothing: no file that they load holds the server", () => {
    const loaded = new Set<string>();
    const load = (file: string): void => {
      if (loaded.has(file)) return;
      loaded.add(file);
      const text = readFileSync(file, "utf8");
      expect(text.includes("textDocument/hover"), file).toBe(false);
      for (const [, path = ""] of text.matchAll(/(?:^|[;}])(?:import|export)[^;("']*["'](\.[^"']+)["']/g))
        load(join(dirname(file), path));
    };
    // The command itself only checks Node and loads the program.
    const [, program = ""] = /import\("(\.[^"]+)"\)/.exec(readFileSync(MAIN, "utf8")) ?? [];
    load(join(dirname(MAIN), program));
    expect(loaded.size).toBeGreaterThan(1);
  });

  test("speaks over stdio only", () => {
    // With an editor's process to watch, too: the process must end all the same.
    for (const args of [[], ["--clientProcessId", String(process.pid)]]) {
      const { code, stderr, stdout } = mtac(["lsp", ...args]);
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain("mtac lsp --stdio");
    }
  });
});
