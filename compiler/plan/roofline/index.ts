export { type Figure, type FigureBasis, figuresOf, type Gpu, type Rates, ratesOf } from "./gpu.ts";
export { GPUS } from "./gpus.ts";
export { gpuMachine } from "./machine.ts";
export {
  type Bound,
  type BoundCandidate,
  boundCandidates,
  type FloorWork,
  floorBound,
  floorWork,
  type KernelBound,
  kernelBound,
  type MemoryDemand,
  type Roofline,
  roofline,
} from "./roofline.ts";
