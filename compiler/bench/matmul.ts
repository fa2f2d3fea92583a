import { MtacError } from "../../runtime/contract/index.ts";
import { BUFFER_USAGE, MAP_MODE_READ } from "../../runtime/webgpu/constants.ts";
import { waitFor } from "../../runtime/webgpu/device-state.ts";
import { PassTimer } from "../../runtime/webgpu/timestamps.ts";
import type { Meter, Sample } from "../execution/meter.ts";
import { PRODUCT_KERNELS, type ProductKernel } from "./product-kernels.ts";

/** One kernel at one size. */
export interface ProductChoice {
  readonly kernel: ProductKernel;
  /** Rows and columns of the square matrices. */
  readonly size: number;
}

/** Upwards, until a run would take too long: small products do not fill a device, large ones show what it can do. */
const SIZES = [256, 512, 1024, 2048, 4096] as const;
const CHECKED_SIZE = 128;
/** A size whose run would take longer is not tried. */
const LONGEST_NANOSECONDS = 5e8;
const TRIALS = 3;
/** In a millisecond. */
const NANOSECONDS = 1e6;

export function productOperations(size: number): number {
  return 2 * size ** 3;
}

/**
 * The fastest of a few plain matrix products on the meter's device: f32, square. Each kernel's results are checked first; one that
 * is wrong or does not compile is left out.
 *
 * @returns The reason, where there is none.
 */
export async function findProduct(
  meter: Pick<Meter, "gpu">,
  signal: AbortSignal,
): Promise<ProductChoice | { readonly reason: string }> {
  const device = meter.gpu;
  if (device === null) return { reason: "mtac has a plain matrix product on WebGPU only" };
  let kernels: readonly ProductKernel[] = [];
  for (const kernel of PRODUCT_KERNELS) if (await isRight(device, kernel)) kernels = [...kernels, kernel];
  let best: Timed | null = null;
  for (const size of SIZES) {
    if (kernels.length === 0 || signal.aborted) break;
    const timed = await timeInTurns(device, kernels, size);
    const rates = timed.map(({ time }) => productOperations(size) / time);
    const fastest = Math.max(...rates);
    for (const each of timed) if (best === null || rateOf(each) > rateOf(best)) best = each;
    if ((8 * productOperations(size)) / fastest > LONGEST_NANOSECONDS) break;
    // What is far behind at one size does not win at the next.
    kernels = kernels.filter((_, index) => (rates[index] ?? 0) > fastest / 2);
  }
  if (best === null && signal.aborted) return { reason: "interrupted before one was timed" };
  return best ?? { reason: "no kernel for a plain matrix product computes it on this device" };
}

interface Timed extends ProductChoice {
  /** Nanoseconds. */
  readonly time: number;
}

function rateOf({ size, time }: Timed): number {
  return productOperations(size) / time;
}

/** The least of some runs of each kernel: what disturbs a run only ever makes it longer. */
async function timeInTurns(
  device: GPUDevice,
  kernels: readonly ProductKernel[],
  size: number,
): Promise<readonly Timed[]> {
  const products: OpenProduct[] = [];
  const least = kernels.map(() => Number.POSITIVE_INFINITY);
  try {
    for (const kernel of kernels) products.push(await openProduct(device, { kernel, size }));
    for (let trial = 0; trial <= TRIALS; trial += 1)
      for (const [index, product] of products.entries()) {
        const { time } = await product.sample();
        // The first one warms up.
        if (trial > 0) least[index] = Math.min(least[index] ?? time, time);
      }
  } finally {
    for (const product of products) product.release();
  }
  return kernels.map((kernel, index) => ({ kernel, size, time: least[index] ?? Number.NaN }));
}

async function isRight(device: GPUDevice, kernel: ProductKernel): Promise<boolean> {
  let product: OpenProduct;
  try {
    product = await openProduct(device, { kernel, size: CHECKED_SIZE });
  } catch (error) {
    // A lost device is no fault of the kernel's.
    if (error instanceof MtacError) throw error;
    return false;
  }
  try {
    await product.sample();
    return isProduct(await product.result(), CHECKED_SIZE);
  } finally {
    product.release();
  }
}

/** Element `index` of A, and of B: small, of both signs, without a pattern that a wrong index would keep. */
function elementOf(matrix: "a" | "b", index: number): number {
  return Math.sin((matrix === "a" ? 12.9898 : 78.233) * (index + 1));
}

function isProduct(c: Float32Array, size: number): boolean {
  const a = matrixOf("a", size);
  const b = matrixOf("b", size);
  for (let row = 0; row < size; row += 1)
    for (let column = 0; column < size; column += 1) {
      let sum = 0;
      for (let k = 0; k < size; k += 1) sum += (a[row * size + k] ?? 0) * (b[k * size + column] ?? 0);
      // Negated, so that NaN counts as wrong.
      if (!(Math.abs(sum - (c[row * size + column] ?? Number.NaN)) <= 1e-4 * Math.sqrt(size))) return false;
    }
  return true;
}

function matrixOf(matrix: "a" | "b", size: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: size * size }, (_, index) => elementOf(matrix, index));
}

/** A product that is ready to run. */
export interface OpenProduct {
  sample(): Promise<Sample>;
  /** C of the last run, row-major. */
  result(): Promise<Float32Array>;
  release(): void;
}

/** @throws GpuError MTA705; whatever the device says of a kernel that it refuses */
export async function openProduct(device: GPUDevice, { kernel, size }: ProductChoice): Promise<OpenProduct> {
  const pipeline = await pipelineOf(device, kernel, size);
  const buffers = [matrixOf("a", size), matrixOf("b", size), new Float32Array(size * size)].map((data) => {
    const { STORAGE, COPY_SRC, COPY_DST } = BUFFER_USAGE;
    const buffer = device.createBuffer({
      label: "mtac matrix product",
      size: data.byteLength,
      usage: STORAGE | COPY_SRC | COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  });
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return {
    sample: () =>
      samplePass(device, (pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindings);
        pass.dispatchWorkgroups(size / kernel.tile.columns, size / kernel.tile.rows);
      }),
    result: () => readBack(device, buffers[2], size),
    release: () => {
      for (const buffer of buffers) buffer.destroy();
    },
  };
}

async function pipelineOf(
  device: GPUDevice,
  kernel: ProductKernel,
  size: number,
): Promise<GPUComputePipeline> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: kernel.name, code: kernel.code });
  const made = device.createComputePipelineAsync({
    label: kernel.name,
    layout: "auto",
    compute: { module, entryPoint: "main", constants: { quads: size / 4 } },
  });
  // A module that does not compile makes a pipeline that cannot be made: that is what is reported.
  const scope = device.popErrorScope();
  const pipeline = await waitFor(device, made);
  await waitFor(device, scope);
  return pipeline;
}

/** By the device's clock where it has one, else by this machine's around the call. */
async function samplePass(device: GPUDevice, encode: (pass: GPUComputePassEncoder) => void): Promise<Sample> {
  const timer = PassTimer.create(device, 1);
  try {
    const encoder = device.createCommandEncoder();
    const timestampWrites = timer?.nextPass() ?? null;
    const pass = encoder.beginComputePass(timestampWrites === null ? {} : { timestampWrites });
    encode(pass);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await waitFor(device, device.queue.onSubmittedWorkDone());
    const wall = performance.now() - start;
    const measured = (await timer?.read()) ?? null;
    return measured === null
      ? { time: wall * NANOSECONDS, clock: "wall" }
      : { time: measured * NANOSECONDS, clock: "device" };
  } finally {
    timer?.destroy();
  }
}

async function readBack(
  device: GPUDevice,
  buffer: GPUBuffer | undefined,
  size: number,
): Promise<Float32Array> {
  if (buffer === undefined) return new Float32Array();
  const bytes = 4 * size * size;
  const staging = device.createBuffer({ size: bytes, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await waitFor(device, staging.mapAsync(MAP_MODE_READ));
    return new Float32Array(staging.getMappedRange().slice(0));
  } finally {
    staging.destroy();
  }
}
