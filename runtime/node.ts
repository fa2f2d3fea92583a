/// <reference types="@webgpu/types" preserve="true" />
/**
 * `mtac/runtime/node`: WebGPU in Node, from npm packages alone.
 *
 * @packageDocumentation
 */
export { cacheFolder } from "./contract/cache-folder.ts";
export { dawnWait } from "./webgpu/dawn-wait.ts";
export { hasNodeGpu, type NodeGpu, type NodeGpuOptions, openNodeGpu } from "./webgpu/node-gpu.ts";
