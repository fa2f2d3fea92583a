import { BufferPool, type Pooled } from "../contract/pool.ts";

export type PooledBuffer = Pooled<GPUBuffer>;

/**
 * A device's pool. A buffer may be released as soon as every command that uses it has been *submitted*: whoever gets it
 * next is behind those commands on the same queue, for writes (`writeBuffer`) and dispatches alike (WebGPU, "GPUQueue":
 * operations execute in order). Commands that are recorded but not yet submitted hold on to their buffers; that is why
 * `encode()` hands its caller a `release()`.
 */
const pools = new WeakMap<GPUDevice, BufferPool<GPUBuffer>>();

export function poolOf(device: GPUDevice): BufferPool<GPUBuffer> {
  let pool = pools.get(device);
  if (pool === undefined) {
    pool = createPool(device);
    pools.set(device, pool);
  }
  return pool;
}

export function createPool(device: GPUDevice): BufferPool<GPUBuffer> {
  return new BufferPool({
    create: (size, usage, label) => device.createBuffer({ label, size, usage }),
    free: (buffer) => buffer.destroy(),
    largest: device.limits.maxBufferSize,
  });
}

/** Frees the workspace that earlier calls left on the device for later ones. */
export function releaseWorkspace(device: GPUDevice): void {
  pools.get(device)?.clear();
}
