// The Vite example as it is built, on what browsers have: a GPU or none, threads or none. Which files each page fetches is counted, too.
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import { attempt, report } from "./checks.ts";
import { compare, complaintsOf, exampleValues, ROOT, reportConsole, type Shown, shown } from "./example.ts";

const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

interface Case {
  readonly name: string;
  readonly search?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the browser does not know WebGPU. */
  readonly old?: boolean;
  /** Begins what the page says of its device. */
  readonly device: "webgpu" | "wasm";
  /** What it says of its threads. */
  readonly threads?: "1 thread" | "as many as run at once";
}

/** Where there is WebGPU, although in software. */
const WITH_GPU: readonly Case[] = [
  { name: "WebGPU", search: "?device=webgpu", device: "webgpu" },
  // A software adapter counts as none.
  { name: "a software GPU", device: "wasm", threads: "1 thread" },
];

const WITHOUT_GPU: readonly Case[] = [
  { name: "no GPU", device: "wasm", threads: "1 thread" },
  { name: "no WebGPU", old: true, device: "wasm", threads: "1 thread" },
  {
    name: "no GPU, cross-origin isolated",
    headers: ISOLATED,
    device: "wasm",
    threads: "as many as run at once",
  },
  {
    name: "no GPU, isolated, a policy against workers",
    headers: {
      ...ISOLATED,
      "content-security-policy": "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
    },
    device: "wasm",
    threads: "1 thread",
  },
];

/** What a page of each kind must not fetch: kernels and code for the other. */
const FOREIGN = { webgpu: /\.wasm$|workspace_bytes/, wasm: /@workgroup_size|createComputePipelineAsync/ };

/** What Chromium says by itself where there is no GPU, and of workers that a policy forbids. */
const BROWSERS_OWN = /^No available adapters\.$|Content Security Policy/;

/** Files of the built page that were asked for, by path. */
type Fetched = Map<string, Buffer>;

function serve(folder: string, headers: Readonly<Record<string, string>>, fetched: Fetched): Promise<Server> {
  const files = new Set(readdirSync(folder, { recursive: true, encoding: "utf8" }));
  const server = createServer(({ url = "" }, response) => {
    const path = new URL(url, "http://localhost").pathname.slice(1) || "index.html";
    if (!files.has(path)) {
      response.writeHead(404).end();
      return;
    }
    const content = readFileSync(join(folder, path));
    fetched.set(path, content);
    response.writeHead(200, { ...headers, "content-type": TYPES[extname(path)] ?? "text/plain" });
    response.end(content);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}

async function checkCase(browser: Browser, folder: string, each: Case): Promise<void> {
  const { name, search = "", headers = {}, device } = each;
  const fetched: Fetched = new Map();
  const server = await serve(join(folder, "dist"), headers, fetched);
  const page = await browser.newPage();
  try {
    const complaints = complaintsOf(page);
    if (each.old === true) await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "gpu"));
    await page.goto(`http://127.0.0.1:${portOf(server)}/${search}`);
    const rows = await shown(page);
    compare(`${name}: as the reference`, rows, exampleValues());
    reportDevice(each, rows, await page.evaluate(() => navigator.hardwareConcurrency));
    const foreign = [...fetched].filter(([path, content]) =>
      FOREIGN[device].test(`${content.toString("latin1")}\n${path}`),
    );
    const bytes = [...fetched.values()].reduce((sum, content) => sum + gzipSync(content).length, 0);
    report(
      `${name}: fetches only what it needs`,
      foreign.length === 0 ? null : foreign.map(([path]) => path).join(", "),
      `${fetched.size} files, ${(bytes / 1024).toFixed(1)} KB compressed, the reference and the page itself among them`,
    );
    reportConsole(
      `${name}: console`,
      complaints.filter((text) => !BROWSERS_OWN.test(text)),
    );
  } finally {
    await page.close();
    server.close();
  }
}

function reportDevice({ name, device, threads }: Case, rows: Shown, cores: number): void {
  const { device: told = "" } = rows;
  const wanted = threads === "1 thread" || cores === 1 ? "1 thread" : `${cores} threads`;
  const fits = told.startsWith(`${device}: `) && (threads === undefined || told.endsWith(`, ${wanted}`));
  report(`${name}: the device`, fits ? null : `it is ${told}`, told);
}

/** @param browser One whose GPU is a software one. */
export async function checkDevices(browser: Browser, folder: string, scratch: string): Promise<void> {
  for (const each of WITH_GPU) await attempt(each.name, () => checkCase(browser, folder, each));
  const without = await openChromium({ resolveFrom: ROOT, scratch, gpu: "none" });
  try {
    for (const each of WITHOUT_GPU) await attempt(each.name, () => checkCase(without, folder, each));
  } finally {
    await without.close();
  }
}
