import { writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Browser, Page } from "playwright-core";
import { elementCount } from "../../../runtime/contract/index.ts";
import { type OnnxAttention, onnxAttention } from "../onnx/attention.ts";
import { type Answer, answerOf, millisecondsIn, textIn, valuesIn, within } from "./answers.ts";
import { outputShapeOf, preparePeerCall } from "./call.ts";
import { type BrowserGpu, openChromium } from "./chromium.ts";
import { openOnnxProcess } from "./onnx-node.ts";
import { findPackage } from "./packages.ts";
import { filesIn, type PageServer, servePage } from "./page-server.ts";
import {
  asResult,
  messageOf,
  type Peer,
  PeerError,
  type PeerRequest,
  type PeerResult,
  patienceOf,
  unavailable,
} from "./peer.ts";
import { openScratch, peerProgram, type Scratch, stageTensors } from "./staging.ts";

const NAME = "onnxruntime-web";

const INSTALL = "npm install --ignore-scripts onnxruntime-web@1.30 playwright-core";

/** Whether browsers of this process have looked for a GPU in vain: no need to start one more for that. */
let foundNoGpu = false;

/**
 * The attention as an ONNX graph on onnxruntime-web's WebGPU provider, in headless Chromium, in f32; where all compute on the
 * processor, on its WebAssembly, in a process of Node.
 */
export function openOnnxWeb(request: PeerRequest): Promise<PeerResult> {
  if (request.processor === undefined) return asResult(NAME, () => open(request));
  return asResult(NAME, () => openOnnxProcess(request, { name: NAME, install: INSTALL, provider: "wasm" }));
}

async function open(request: PeerRequest): Promise<Peer> {
  const library = dirname(findPackage("onnxruntime-web/webgpu", request.resolveFrom, INSTALL));
  const call = preparePeerCall(request);
  const attention = onnxAttention(call);
  const peer = new WebPeer(await openScratch(), patienceOf(request), elementCount(outputShapeOf(call)));
  try {
    await peer.open(attention, request.resolveFrom, library);
    return peer;
  } catch (error) {
    await peer.close();
    throw error;
  }
}

/** A page in a browser of its own, and the server that it loads everything from. */
class WebPeer implements Peer {
  readonly name = NAME;
  #version = "";
  #device = "";
  readonly #scratch: Scratch;
  readonly #patienceMs: number;
  readonly #outputCount: number;
  #server: PageServer | null = null;
  #browser: Browser | null = null;
  #page: Page | null = null;
  /** Rejects when the page dies: calls in progress would wait for ever. */
  #crashed: Promise<never> | null = null;

  constructor(scratch: Scratch, patienceMs: number, outputCount: number) {
    this.#scratch = scratch;
    this.#patienceMs = patienceMs;
    this.#outputCount = outputCount;
  }

  get version(): string {
    return this.#version;
  }

  get device(): string {
    return this.#device;
  }

  async open({ model, feeds }: OnnxAttention, resolveFrom: string, library: string): Promise<void> {
    await writeFile(this.#scratch.file("model.bin"), model);
    const staged = await stageTensors(feeds, this.#scratch);
    const finders = [filesIn("/ort/", library), filesIn("/files/", this.#scratch.folder)];
    const program = peerProgram("onnx-web.mjs");
    this.#server = await servePage((path) => {
      if (path === "/peer.mjs") return program;
      return finders.map((find) => find(path)).find((file) => file !== null) ?? null;
    });
    const adapter = await this.#openPage(resolveFrom, this.#server.url);
    const tensors = staged.map(({ name, type, dims }) => ({ name, type, dims, url: `/files/${name}.bin` }));
    const job = JSON.stringify({ model: "/files/model.bin", tensors });
    const opened = await this.#ask(`peer.open(${job})`, this.#patienceMs);
    const partly = opened.get("whole") === true ? "" : ", some operators on the processor";
    this.#version = textIn(opened, "version");
    this.#device = `${adapter} in Chromium ${this.#browser?.version()}, computes in float32${partly}`;
  }

  /** Opens the page on the machine's GPU, or, where a browser finds none, on SwiftShader. Gives the adapter's description. */
  async #openPage(resolveFrom: string, url: string): Promise<string> {
    const choices: readonly BrowserGpu[] = foundNoGpu ? ["swiftshader"] : ["real", "swiftshader"];
    for (const gpu of choices) {
      this.#browser = await openChromium({ resolveFrom, scratch: this.#scratch.folder, gpu });
      this.#page = await this.#browser.newPage();
      this.#crashed = crashOf(this.#page);
      await this.#page.goto(url);
      await this.#page.waitForFunction("globalThis.peer !== undefined", undefined, { timeout: 60_000 });
      const adapter = answerOf(await within(60_000, NAME, this.#page.evaluate("peer.adapter()")));
      if (adapter !== null && (gpu === "swiftshader" || adapter.get("software") === false))
        return textIn(adapter, "description");
      foundNoGpu = true;
      await this.#browser.close();
    }
    throw unavailable("Chromium has no WebGPU adapter here, not even a software one", "install a GPU driver");
  }

  async run(): Promise<Float32Array> {
    await this.#ask("peer.run()", this.#patienceMs);
    return valuesIn(NAME, this.#server?.takeOutput() ?? new Uint8Array(), this.#outputCount);
  }

  async time(count: number): Promise<readonly number[]> {
    return millisecondsIn(await this.#ask(`peer.time(${count})`, this.#patienceMs * (count + 1)), count);
  }

  async close(): Promise<void> {
    await this.#browser?.close().catch(() => undefined);
    await this.#server?.close();
    await this.#scratch.remove();
  }

  async #ask(expression: string, patienceMs: number): Promise<Answer> {
    const page = this.#page;
    const crashed = this.#crashed;
    if (page === null || crashed === null) throw new PeerError("MTA941", `${NAME} has no page`);
    try {
      const answered = Promise.race([page.evaluate(expression), crashed]);
      const answer = answerOf(await within(patienceMs, NAME, answered));
      if (answer === null) throw new Error("the page gave no answer");
      return answer;
    } catch (cause) {
      if (cause instanceof PeerError) throw cause;
      throw new PeerError("MTA941", `${NAME}: ${messageOf(cause)}`, { cause });
    }
  }
}

function crashOf(page: Page): Promise<never> {
  const crashed = new Promise<never>((_resolve, reject) => {
    page.once("crash", () => reject(new Error("the page crashed")));
  });
  // Nobody may be waiting when it does.
  crashed.catch(() => undefined);
  return crashed;
}
