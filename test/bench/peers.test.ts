import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  openOnnxNode,
  openOnnxWeb,
  openPeers,
  openPyTorch,
  PEER_NAMES,
  type PeerRequest,
} from "../../compiler/bench/peers/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";

// What the benchmark says without the peers' packages, and when a peer misbehaves. Real peers: test/bench-peers.

const shape = { B: 1, Lq: 4, Lk: 4, R: 0 };
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "mtac-peers-test-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function requestOf(body: string, more: Partial<PeerRequest> = {}): PeerRequest {
  const pipeline = pipelineOf(`attention a { heads 2 head_dim 4 ${body} }`, "a");
  return {
    pipeline,
    shape,
    inputs: drawInputs(pipeline, shape, false, 1),
    parameters: drawParameters(pipeline, 1),
    resolveFrom: scratch,
    python: join(scratch, "no-python"),
    ...more,
  };
}

/** A Python that is a few lines of JavaScript: `answer` gets each request and gives what is printed. */
function fakePython(name: string, body: string): string {
  const file = join(scratch, name);
  const lines = [
    `#!${process.execPath}`,
    `require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {`,
    `const request = JSON.parse(line); const say = (value) => console.log(JSON.stringify(value));`,
    body,
    "});",
  ];
  writeFileSync(file, lines.join("\n"));
  chmodSync(file, 0o755);
  return file;
}

/** Answers "open"; what else comes goes to `body`. */
function opening(name: string, body: string): string {
  const opened = `{ version: "1.2.3", device: "a double, computes in float32" }`;
  return fakePython(name, `if (request.command === "open") return say(${opened});\n${body}`);
}

describe("without the peers", () => {
  test("each says what is missing and what would bring it", async () => {
    const results = await openPeers(requestOf("scores { conv 2x3 }"), PEER_NAMES);
    expect(results).toEqual([
      {
        available: false,
        name: "onnxruntime-web",
        reason: `the package onnxruntime-web is not installed in ${scratch}`,
        remedy: "npm install --ignore-scripts onnxruntime-web@1.30 playwright-core",
      },
      {
        available: false,
        name: "onnxruntime-node",
        reason: `the package onnxruntime-node is not installed in ${scratch}`,
        remedy: "npm install --ignore-scripts onnxruntime-node@1.30",
      },
      {
        available: false,
        name: "pytorch",
        reason: expect.stringContaining(`${scratch}/no-python cannot be started`),
        remedy: expect.stringContaining("MTAC_PYTHON"),
      },
    ]);
  });

  test("a Python without PyTorch is named", async () => {
    const python = fakePython("bare", `say({ error: "/bin/bare (Python 3.11.2) has no PyTorch" });`);
    const result = await openPyTorch(requestOf("", { python }));
    expect(result).toMatchObject({
      available: false,
      reason: "pytorch: /bin/bare (Python 3.11.2) has no PyTorch",
      remedy: expect.stringContaining("pip install torch"),
    });
  });

  test("MTAC_PYTHON chooses the interpreter", async () => {
    const { python: _, ...request } = requestOf("");
    vi.stubEnv("MTAC_PYTHON", opening("chosen", ""));
    const result = await openPyTorch(request);
    if (!result.available) throw new Error(result.reason);
    expect(result.peer).toMatchObject({ name: "pytorch", version: "1.2.3" });
    await result.peer.close();
  });
});

describe("what ONNX cannot express", () => {
  beforeEach(() => {
    for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
      const folder = join(scratch, "full", "node_modules", name);
      mkdirSync(folder, { recursive: true });
      const exports = { ".": "./index.js", "./webgpu": "./index.js" };
      writeFileSync(join(folder, "package.json"), JSON.stringify({ name, exports }));
      writeFileSync(join(folder, "index.js"), "throw new Error('nothing is here');");
    }
  });

  test.each([
    ["normalize sparsemax", "ONNX has no sparsemax"],
    [
      "mask causal documents weights { conv 2x3 as near }",
      "weights.near must not read the rows of another document, and ONNX's Conv reads them all",
    ],
  ])("%s", async (body, reason) => {
    const request = requestOf(body, { resolveFrom: join(scratch, "full") });
    for (const open of [openOnnxNode, openOnnxWeb]) {
      expect(await open(request)).toMatchObject({
        available: false,
        reason,
        remedy: expect.stringContaining("PyTorch"),
      });
    }
  });

  test("a package that cannot be loaded is a reason", async () => {
    const result = await openOnnxNode(requestOf("", { resolveFrom: join(scratch, "full") }));
    expect(result).toMatchObject({ available: false, reason: "onnxruntime-node: nothing is here" });
  });
});

describe("a peer that misbehaves", () => {
  test("opens and then dies: a reason, with its last words", async () => {
    const python = opening("dies", `console.error("out of memory"); process.exit(9);`);
    const [result] = await openPeers(requestOf("", { python }), ["pytorch"]);
    expect(result).toMatchObject({
      available: false,
      name: "pytorch",
      reason: "pytorch ended with exit code 9:\nout of memory",
    });
  });

  test("answers with an error", async () => {
    const python = opening("refuses", `say({ error: "RuntimeError: no" });`);
    const [result] = await openPeers(requestOf("", { python }), ["pytorch"]);
    expect(result).toMatchObject({ available: false, reason: "pytorch: RuntimeError: no" });
  });

  test("never answers", async () => {
    const python = opening("silent", "");
    const [result] = await openPeers(requestOf("", { python, patienceMs: 1500 }), ["pytorch"]);
    expect(result).toMatchObject({ available: false, reason: "pytorch gave no answer within 1.5 s" });
  });

  test("gives too few values", async () => {
    const python = opening(
      "short",
      `require("node:fs").writeFileSync(request.file, Buffer.alloc(8)); say({});`,
    );
    const [result] = await openPeers(requestOf("", { python }), ["pytorch"]);
    expect(result).toMatchObject({ available: false, reason: "pytorch gave 2 values instead of 32" });
  });

  test("dies while it is timed: the error is told, and close leaves nothing behind", async () => {
    const own = join(scratch, "temporary");
    mkdirSync(own);
    vi.stubEnv("TMPDIR", own);
    const python = opening(
      "late",
      `console.log("a library's own words"); process.kill(process.pid, "SIGKILL");`,
    );
    const result = await openPyTorch(requestOf("", { python }));
    if (!result.available) throw new Error(result.reason);
    await expect(result.peer.time(2)).rejects.toMatchObject({
      name: "PeerError",
      code: "MTA941",
      kind: "device",
      message: "pytorch ended by SIGKILL",
    });
    await expect(result.peer.run()).rejects.toMatchObject({ code: "MTA941" });
    expect(readdirSync(own)).toHaveLength(1);
    await result.peer.close();
    expect(readdirSync(own)).toEqual([]);
  });

  test("inputs that do not fit the spec are a reason too", async () => {
    const { inputs, ...request } = requestOf("mask causal lengths");
    const { lengths: _, ...rest } = inputs;
    const [result] = await openPeers({ ...request, inputs: rest }, ["pytorch"]);
    expect(result).toMatchObject({ available: false, reason: expect.stringContaining("lengths") });
  });
});
