// An ONNX model on onnxruntime-web's WebGPU provider, in a page. `mtac bench` serves the page, calls what this module puts into
// `peer`, and takes the output from a POST to /output.
import * as ort from "/ort/ort.webgpu.bundle.min.mjs";

let session;
let device;
let feeds;

async function bytesOf(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.arrayBuffer();
}

/** A tensor in the device's memory. Buffers hold multiples of 16 bytes, as the provider's own do. */
async function place({ name, type, dims, url }) {
  const bytes = await bytesOf(url);
  const size = Math.ceil(bytes.byteLength / 16) * 16;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const gpuBuffer = device.createBuffer({ size, usage });
  const whole = new Uint8Array(size);
  whole.set(new Uint8Array(bytes));
  device.queue.writeBuffer(gpuBuffer, 0, whole);
  return [name, ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type, dims })];
}

/** With every operator on the GPU, or, where the provider lacks one, with that on the processor. */
async function createSession(model) {
  const options = { executionProviders: ["webgpu"], preferredOutputLocation: "gpu-buffer" };
  try {
    const extra = { session: { disable_cpu_ep_fallback: "1" } };
    return { session: await ort.InferenceSession.create(model, { ...options, extra }), whole: true };
  } catch {
    return { session: await ort.InferenceSession.create(model, options), whole: false };
  }
}

async function once() {
  const start = performance.now();
  const outputs = await session.run(feeds);
  await device.queue.onSubmittedWorkDone();
  const milliseconds = performance.now() - start;
  return { output: outputs[session.outputNames[0]], milliseconds };
}

globalThis.peer = {
  /** The adapter that a session would get; null where there is none. */
  async adapter() {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return null;
    const { vendor, architecture, device: name, description, isFallbackAdapter } = adapter.info;
    const software =
      isFallbackAdapter === true || /swiftshader|llvmpipe/i.test(`${architecture} ${description}`);
    return { description: [vendor, architecture, name, description].filter(Boolean).join(" "), software };
  },

  async open({ model, tensors }) {
    ort.env.wasm.wasmPaths = "/ort/";
    ort.env.webgpu.powerPreference = "high-performance";
    const created = await createSession(new Uint8Array(await bytesOf(model)));
    session = created.session;
    device = await ort.env.webgpu.device;
    feeds = Object.fromEntries(await Promise.all(tensors.map(place)));
    return { version: ort.env.versions.web, whole: created.whole };
  },

  async run() {
    const { output } = await once();
    const values = await output.getData(true);
    await fetch("/output", { method: "POST", body: new Blob([values]) });
    return {};
  },

  async time(count) {
    (await once()).output.dispose();
    const milliseconds = [];
    for (let run = 0; run < count; run += 1) {
      const { output, milliseconds: taken } = await once();
      output.dispose();
      milliseconds.push(taken);
    }
    return { milliseconds };
  },
};
