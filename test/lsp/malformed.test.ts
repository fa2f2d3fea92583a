import { spawn } from "node:child_process";
import { afterAll, describe, expect, test } from "vitest";
import { FrameFilter, MAX_BODY_BYTES } from "../../compiler/lsp/frames.ts";
import { MAIN } from "../cli/harness.ts";

function frame(body: unknown): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** What the filter passes on, the input cut into pieces of one size, and how many bytes it leaves out. */
function filtered(input: string, size: number): { readonly passed: string; readonly dropped: number } {
  let [passed, dropped] = ["", 0];
  const filter = new FrameFilter((bytes) => {
    dropped += bytes;
  });
  filter.on("data", (chunk: Buffer) => {
    passed += chunk.toString("utf8");
  });
  const bytes = Buffer.from(input);
  for (let at = 0; at < bytes.length; at += size) filter.write(bytes.subarray(at, at + size));
  // Nothing is held back but what waits for more.
  for (let chunk = filter.read(); chunk !== null; chunk = filter.read()) passed += String(chunk);
  return { passed, dropped };
}

const [FIRST, SECOND] = [frame({ id: 1, text: "é \r\n\r\n Content-Length: 5\r\n\r\n" }), frame({ id: 2 })];

/** Broken frames by what is wrong with them. */
const BROKEN = {
  "a length that is no number": "Content-Length: abc\r\n\r\n{}",
  "a negative length": "Content-Length: -5\r\n\r\n",
  "a length beyond all messages": `Content-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n`,
  "a length that is too long": "Content-Length: 900\r\n\r\n{}",
  "no length": "Content-Type: text/plain\r\n\r\n",
  "a header that is none": "hello world\r\n\r\n",
  "lines that end otherwise": "Content-Length: 2\n\n{}",
  "much that is no header": "x".repeat(20_000),
};

describe("the filter of frames", () => {
  test.each([1, 7, 1000, 100_000])("passes frames on as they are, in pieces of %d bytes", (size) => {
    expect(filtered(FIRST + SECOND + FIRST, size)).toEqual({ passed: FIRST + SECOND + FIRST, dropped: 0 });
  });

  test.each(Object.entries(BROKEN))("leaves out %s, and nothing else", (_, broken) => {
    for (const size of [1, 7, 100_000])
      expect(filtered(FIRST + broken + SECOND, size)).toEqual({
        passed: FIRST + SECOND,
        dropped: Buffer.byteLength(broken),
      });
  });

  test("goes on behind a frame whose length is too short", () => {
    const short = SECOND.replace(/: \d+/, ": 5");
    const { passed } = filtered(FIRST + short + SECOND, 3);
    expect(passed).toBe(`${FIRST}Content-Length: 5\r\n\r\n{"id"${SECOND}`);
  });
});

describe("the server stays alive and answers", () => {
  const server = spawn(process.execPath, [MAIN, "lsp", "--stdio"]);
  afterAll(() => server.kill());
  let said = "";
  server.stdout.on("data", (data: Buffer) => {
    said += data.toString("utf8");
  });
  let lastId = 0;
  const document = { uri: "file:///a.mta", languageId: "mta", version: 1 };
  const notify = (method: string, params?: unknown): string => frame({ jsonrpc: "2.0", method, params });

  /** Sends a request after what may have hurt the server, and gives its answer's line. */
  async function ask(before: string, method: string, params: unknown): Promise<string> {
    lastId += 1;
    const id = lastId;
    server.stdin.write(before + frame({ jsonrpc: "2.0", id, method, params }));
    for (let tries = 0; tries < 200; tries += 1) {
      const answer = said.split(/Content-Length: \d+\r\n\r\n/).find((each) => each.includes(`"id":${id},`));
      if (answer !== undefined) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no answer: ${said}`);
  }

  const symbols = { textDocument: { uri: "file:///good.mta" } };

  test("with an opened document", async () => {
    await ask("", "initialize", { processId: null, rootUri: null, capabilities: {} });
    const text = "attention good { heads 2 head_dim 8 }";
    const open = notify("textDocument/didOpen", {
      textDocument: { ...document, uri: "file:///good.mta", text },
    });
    const opened = notify("initialized", {}) + open;
    expect(await ask(opened, "textDocument/documentSymbol", symbols)).toContain('"name":"good"');
  });

  const change = { uri: "file:///good.mta", version: 2 };
  test.each([
    ["didOpen without text", notify("textDocument/didOpen", { textDocument: document })],
    [
      "didOpen with a number as text",
      notify("textDocument/didOpen", { textDocument: { ...document, text: 5 } }),
    ],
    [
      "didOpen with a number as URI",
      notify("textDocument/didOpen", { textDocument: { ...document, uri: 7, text: "" } }),
    ],
    ["didOpen without a document", notify("textDocument/didOpen", {})],
    ["didOpen without anything", notify("textDocument/didOpen")],
    ["didChange without changes", notify("textDocument/didChange", { textDocument: change })],
    [
      "didChange without text",
      notify("textDocument/didChange", { textDocument: change, contentChanges: [{}] }),
    ],
    [
      "didChange with half a range",
      notify("textDocument/didChange", {
        textDocument: change,
        contentChanges: [{ range: { start: {} }, text: "x" }],
      }),
    ],
    [
      "didChange of an unknown document",
      notify("textDocument/didChange", {
        textDocument: { uri: "file:///none.mta", version: 2 },
        contentChanges: [{ text: "" }],
      }),
    ],
    ["didClose without a document", notify("textDocument/didClose", {})],
    ["an unknown notification", notify("mtac/nothing", {})],
    ["text that is no JSON", frame("{nope")],
    ["JSON that is no message", frame("5") + frame("null") + frame("[]") + frame({ id: "x" })],
    ...Object.entries(BROKEN),
  ])("after %s", async (_, hurt) => {
    expect(await ask(hurt, "textDocument/documentSymbol", symbols)).toContain('"name":"good"');
  });

  test.each([
    ["mtac/nothing", {}, "-32601"],
    ["textDocument/hover", {}, "-32602"],
    ["textDocument/hover", symbols, "-32602"],
    ["textDocument/rename", { ...symbols, position: { line: 0, character: 11 } }, "-32602"],
    ["textDocument/codeAction", symbols, "-32602"],
  ])("%s %j is answered with error %s", async (method, params, code) => {
    expect(await ask("", method, params)).toContain(`"code":${code}`);
  });
});
