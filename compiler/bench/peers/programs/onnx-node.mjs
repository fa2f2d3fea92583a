// An ONNX model in onnxruntime-node, or in onnxruntime-web's WebAssembly, in a process of its own: its threads, its memory and its crashes stay out of the benchmark.
// `mtac bench` starts it and talks to it in lines of JSON, one answer for each request:
//   {"command": "open", "package": …, "model": …, "provider", "threads", "tensors": [{"name", "type", "dims", "file"}]}  →  {"version", "device"}
//   {"command": "run", "file": …}    writes the output, float32, into the file                    →  {}
//   {"command": "time", "count": …}  after one run that is not counted                            →  {"milliseconds": […]}
// A request that fails is answered with {"error": …}. The end of the input ends the process.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";

let session;
let feeds;

function load(ort, { name, type, dims, file }) {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const data = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  return [name, new ort.Tensor(type, data, dims)];
}

async function once() {
  const start = performance.now();
  const outputs = await session.run(feeds);
  const milliseconds = performance.now() - start;
  return { output: outputs[session.outputNames[0]], milliseconds };
}

const commands = {
  async open({ package: path, model, provider, threads, tensors }) {
    const ort = createRequire(import.meta.url)(path);
    const options = { executionProviders: [provider] };
    if (threads !== null) {
      options.intraOpNumThreads = threads;
      if (provider === "wasm") ort.env.wasm.numThreads = threads;
    }
    session = await ort.InferenceSession.create(model, options);
    feeds = Object.fromEntries(tensors.map((tensor) => load(ort, tensor)));
    const [{ model: processor = "processor" } = {}] = cpus();
    const how = [
      `CPU (${processor.trim()})`,
      ...(provider === "wasm" ? ["WebAssembly"] : []),
      ...(threads === null ? [] : [`${threads} ${threads === 1 ? "thread" : "threads"}`]),
    ];
    const { node, web, common } = ort.env.versions;
    return { version: node ?? web ?? common, device: `${how.join(", ")}, computes in float32` };
  },

  async run({ file }) {
    const { output } = await once();
    writeFileSync(file, output.data);
    return {};
  },

  async time({ count }) {
    await once();
    const milliseconds = [];
    for (let run = 0; run < count; run += 1) milliseconds.push((await once()).milliseconds);
    return { milliseconds };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { command, ...request } = JSON.parse(line);
    answer = await commands[command](request);
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
