// Compiles specs with the built command, bundles the emitted launchers as a user's page would, runs them in headless Chromium
// on SwiftShader, and compares with the float64 reference. SwiftShader has no `shader-f16`: f16 runs packed here, natively
// under Deno. Prints a line for each check and ends with "N passed, N failed".
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { initParameters, randomParameters } from "../../runtime/contract/init.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import { relativeError } from "../support/errors.ts";
import { FORWARD_TOLERANCE } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";
import { roundInputs } from "../support/rounded.ts";
import { attempt, messageOf, report, summarise, withScratch } from "./checks.ts";
import type { AttentionCall, Loss, Outcome, PlainTensor } from "./page.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A browser that hangs is a failure, told before whoever started this loses patience. */
const PATIENCE_MS = 240_000;
interface Case {
  readonly spec: string;
  readonly attention: string;
  readonly B: number;
  /** Rows and keys: more than one tile of each. */
  readonly length: number;
}

const TOY: Case = { spec: "examples/mta_toy.mta", attention: "mta_toy", B: 2, length: 45 };
/** f16, every stage there is before and after the softmax, norm and gate. */
const FULL: Case = { spec: "test/golden/specs/full.mta", attention: "full", B: 1, length: 45 };

/** A case's call, what it should give, and the parameters that its module should draw. */
interface Prepared {
  readonly name: string;
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  readonly expected: ReferenceResult;
}

const INITIAL_SEED = 11;

function prepare({ spec, attention, B, length }: Case): Prepared {
  const pipeline = pipelineOf(readFileSync(join(ROOT, spec), "utf8"), attention, basename(spec));
  const { heads, kvHeads, headDim, valueDim, storage } = pipeline;
  const random = new Random(5);
  const draw = (count: number, size: number): Float64Tensor => {
    const data = Float64Array.from(Float32Array.from(random.normals(B * count * length * size)));
    return { shape: [B, count, length, size], data };
  };
  const drawn = { q: draw(heads, headDim), k: draw(kvHeads, headDim), v: draw(kvHeads, valueDim) };
  const inputs: AttentionInputs<Float64Tensor> = roundInputs(drawn, storage);
  const parameters = new Map<string, Float64Tensor>();
  for (const [name, { shape, data }] of randomParameters(pipeline, 3))
    parameters.set(name, { shape, data: Float64Array.from(data) });
  const plain = ({ shape, data }: Float64Tensor): PlainTensor => ({ shape, data: [...data] });
  return {
    name: attention,
    pipeline,
    call: {
      attention,
      storage,
      parameters: Object.fromEntries([...parameters].map(([name, tensor]) => [name, plain(tensor)])),
      inputs: { q: plain(inputs.q), k: plain(inputs.k), v: plain(inputs.v) },
    },
    expected: referenceForward(pipeline, parameters, inputs),
  };
}

function compareWithReference(what: string, { pipeline, expected }: Prepared, outcome: Outcome): void {
  const problems: string[] = [];
  const details: string[] = [];
  const compare = (name: string, got: PlainTensor | null, wanted: Float64Tensor | null, bound: number) => {
    if (got === null || wanted === null) {
      if (got !== wanted) problems.push(`${name} is there on one side only`);
      return;
    }
    const error =
      String(got.shape) === String(wanted.shape) ? relativeError(got.data, wanted.data) : Number.NaN;
    details.push(`${name} ${error.toExponential(1)}`);
    // Not `>`: an error that is NaN is no agreement.
    if (!(error <= bound)) problems.push(`${name} may be ${bound} off`);
  };
  compare("o", outcome.o, expected.o, FORWARD_TOLERANCE[pipeline.storage]);
  // lse is written as f32 whatever the storage.
  compare("lse", outcome.lse, expected.lse, FORWARD_TOLERANCE.f32);
  const problem = problems.length === 0 ? null : problems.join("; ");
  report(`${what}, ${outcome.plan}`, problem, details.join(", "));
}

async function checkCase(page: Page, prepared: Prepared): Promise<void> {
  const { name, pipeline, call } = prepared;
  await attempt(`${name}: initial parameters`, async () => {
    const drawn = await page.evaluate(([each, seed]) => checks.initialParameters(each, seed), [
      call,
      INITIAL_SEED,
    ] as const);
    const wanted = [...initParameters(pipeline, INITIAL_SEED)].map(([key, { data }]) => [
      key,
      Array.from(data),
    ]);
    const got = Object.entries(drawn).map(([key, { data }]) => [key, data]);
    const same = JSON.stringify(got) === JSON.stringify(wanted);
    report(`${name}: initial parameters as in Node`, same ? null : "they differ");
  });
  await attempt(`${name}: forward`, async () => {
    const { outcomes, misfits } = await page.evaluate((each) => checks.everyPlan(each), call);
    for (const outcome of outcomes) compareWithReference(`${name}: forward`, prepared, outcome);
    for (const { plan, code } of misfits)
      console.log(`       ${name}: ${plan} is not for this device (${code})`);
    if (outcomes.length === 0) report(`${name}: forward`, "no plan fits the device");
  });
  await attempt(`${name}: encode`, async () => {
    const outcome = await page.evaluate((each) => checks.encoded(each), call);
    compareWithReference(`${name}: encode`, prepared, outcome);
  });
  await attempt(`${name}: device of default limits`, async () => {
    const outcome = await page.evaluate((each) => checks.plainDevice(each), call);
    compareWithReference(`${name}: device of default limits`, prepared, outcome);
  });
}

function checkLoss(what: string, prepared: Prepared, loss: Loss, reason: string): void {
  const { pending, later, upload } = loss;
  const expect = (part: string, got: string | null, wanted: readonly (string | null)[]): void =>
    report(
      `${what}: ${part}`,
      wanted.includes(got) ? null : `got ${got}, not ${wanted.join(" or ")}`,
      got ?? "",
    );
  expect("reason", loss.reason, [reason]);
  expect("the call in progress", pending, ["MTA705"]);
  expect("a later call", later, ["MTA705"]);
  expect("an upload", upload, ["MTA705"]);
  compareWithReference(`${what}: rebuilt`, prepared, loss.rebuilt);
}

/** Compiles the specs with the built command and bundles the page's script. */
async function bundle(scratch: string, cases: readonly Case[]): Promise<string> {
  mkdirSync(join(scratch, "node_modules"));
  symlinkSync(ROOT, join(scratch, "node_modules/mtac"), "dir");
  for (const { spec, attention } of cases) {
    const command = join(ROOT, "dist/cli/main.js");
    const to = join(scratch, attention);
    const words = [command, "compile", join(ROOT, spec), "--name", attention, "--out", to];
    execFileSync(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
  }
  const names = cases.map(({ attention }) => attention);
  const lines = [
    `import * as runtime from "mtac/runtime";`,
    `import { pageChecks } from ${JSON.stringify(join(ROOT, "test/browser/page.ts"))};`,
    ...names.map((name) => `import * as ${name} from "./${name}/${name}.js";`),
    `globalThis.checks = pageChecks(runtime, { ${names.join(", ")} });`,
  ];
  const { outputFiles } = await build({
    stdin: { contents: lines.join("\n"), resolveDir: scratch, sourcefile: "main.ts", loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0]?.text ?? "";
}

const DOCUMENT = `<!doctype html>
<meta charset="utf-8"><title>mtac</title><link rel="icon" href="data:,">
<script type="module" src="/main.js"></script>`;

function serve(script: string): Promise<{ server: Server; url: string }> {
  const files = new Map([
    ["/", { type: "text/html", text: DOCUMENT }],
    ["/main.js", { type: "text/javascript", text: script }],
  ]);
  const server = createServer(({ url = "" }, response) => {
    const file = files.get(url);
    response.writeHead(file === undefined ? 404 : 200, { "content-type": file?.type ?? "text/plain" });
    response.end(file?.text);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the server has no port"));
      else resolve({ server, url: `http://127.0.0.1:${address.port}/` });
    });
  });
}

async function checkInBrowser(browser: Browser, url: string, cases: readonly Prepared[]): Promise<void> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  await page.waitForFunction(() => "checks" in globalThis, undefined, { timeout: 20_000 });
  const { description, shaderF16 } = await page.evaluate(() => checks.describeAdapter());
  console.log(`Chromium ${browser.version()}, ${description}, ${shaderF16 ? "shader-f16" : "no shader-f16"}`);
  for (const prepared of cases) {
    await checkCase(page, prepared);
    await attempt(`${prepared.name}: destroyed device`, async () => {
      const loss = await page.evaluate((each) => checks.destroyed(each), prepared.call);
      checkLoss(`${prepared.name}: destroyed device`, prepared, loss, "destroyed");
    });
  }
  report(
    "the page's console",
    complaints.length === 0 ? null : complaints.join("\n"),
    "no error, no warning",
  );
  const [first] = cases;
  if (first !== undefined) await checkCrash(browser, page, first);
}

/** A device that goes without the page's doing: the browser's GPU process dies. */
async function checkCrash(browser: Browser, page: Page, prepared: Prepared): Promise<void> {
  const what = "GPU process dies";
  await attempt(what, async () => {
    await page.evaluate((each) => checks.awaitCrash(each), prepared.call);
    const session = await browser.newBrowserCDPSession();
    // It never answers on some versions.
    void session.send("Browser.crashGpuProcess").catch(() => null);
    const loss = await page.evaluate(() => checks.crashed());
    checkLoss(what, prepared, loss, "unknown");
  });
}

/** Whether a Chromium starts here; why not goes to stderr. */
export function probe(): Promise<boolean> {
  return withScratch(async (scratch) => {
    try {
      await (await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" })).close();
      return true;
    } catch (error) {
      console.error(messageOf(error));
      return false;
    }
  });
}

export async function checkAll(): Promise<boolean> {
  const cases = [TOY, FULL];
  await withScratch(async (scratch) => {
    let server: Server | undefined;
    let browser: Browser | undefined;
    let impatience: NodeJS.Timeout | undefined;
    try {
      const served = await serve(await bundle(scratch, cases));
      server = served.server;
      browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
      const opened = browser;
      // The work ends by itself when the browser has gone.
      impatience = setTimeout(() => void opened.close({ reason: "it took too long" }), PATIENCE_MS);
      await checkInBrowser(browser, served.url, cases.map(prepare));
    } catch (error) {
      report("the browser", messageOf(error));
    } finally {
      clearTimeout(impatience);
      await browser?.close();
      server?.close();
    }
  });
  return summarise();
}
