/// <reference types="@webgpu/types" preserve="true" />
/** `mtac/runtime/node`: WebGPU in Node, from npm packages alone. */
export { dawnWait } from "./webgpu/dawn-wait.ts";
export { type NodeGpu, type NodeGpuOptions, openNodeGpu } from "./webgpu/node-gpu.ts";
export { cacheFolder } from "./webgpu/swiftshader.ts";
