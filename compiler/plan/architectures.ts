import { MtacError } from "../../runtime/contract/index.ts";

/** What the planner knows of one generation of NVIDIA devices. Rates are per multiprocessor (SM) and cycle. */
export interface CudaArchitecture {
  /** As nvcc's `-arch` names it. */
  readonly name: string;
  /** Compute capability, times ten. */
  readonly computeCapability: number;
  /** Shared memory that one block may ask for, in bytes (CUDA C++ Programming Guide, "Technical Specifications"). */
  readonly sharedBytesPerBlock: number;
  /** Shared memory of one SM, in bytes; each resident block takes 1 KiB beside its own. */
  readonly sharedBytesPerSm: number;
  readonly registersPerSm: number;
  readonly threadsPerSm: number;
  readonly blocksPerSm: number;
  /** `mma.m16n8k16` with f32 accumulation per SM and cycle. */
  readonly mma: number;
  /** f32 lanes of fused multiply-adds per SM and cycle. */
  readonly f32Lanes: number;
  /** Special functions (ex2, rcp, …) per SM and cycle. */
  readonly specialFunctions: number;
}

const KIB = 1024;

const COMMON = { registersPerSm: 65536, specialFunctions: 16 } as const;

/**
 * Architectures that plans are made for. Memory, threads: CUDA C++ Programming Guide, "Compute Capabilities". Rates: the same
 * guide's "Arithmetic Instructions"; `mma` from the published dense f16 rates of the data-centre and consumer parts (the
 * latter accumulate f16 products in f32 at half rate).
 */
export const CUDA_ARCHITECTURES: readonly CudaArchitecture[] = [
  {
    ...COMMON,
    name: "sm_80",
    computeCapability: 80,
    sharedBytesPerBlock: 163 * KIB,
    sharedBytesPerSm: 164 * KIB,
    threadsPerSm: 2048,
    blocksPerSm: 32,
    mma: 0.5,
    f32Lanes: 64,
  },
  {
    ...COMMON,
    name: "sm_86",
    computeCapability: 86,
    sharedBytesPerBlock: 99 * KIB,
    sharedBytesPerSm: 100 * KIB,
    threadsPerSm: 1536,
    blocksPerSm: 16,
    mma: 0.125,
    f32Lanes: 128,
  },
  {
    ...COMMON,
    name: "sm_89",
    computeCapability: 89,
    sharedBytesPerBlock: 99 * KIB,
    sharedBytesPerSm: 100 * KIB,
    threadsPerSm: 1536,
    blocksPerSm: 24,
    mma: 0.125,
    f32Lanes: 128,
  },
  {
    ...COMMON,
    name: "sm_90",
    computeCapability: 90,
    sharedBytesPerBlock: 227 * KIB,
    sharedBytesPerSm: 228 * KIB,
    threadsPerSm: 2048,
    blocksPerSm: 32,
    // mma.sync reaches about 60 % of what wgmma does.
    mma: 0.6,
    f32Lanes: 128,
  },
  {
    ...COMMON,
    name: "sm_100",
    computeCapability: 100,
    sharedBytesPerBlock: 227 * KIB,
    sharedBytesPerSm: 228 * KIB,
    threadsPerSm: 2048,
    blocksPerSm: 32,
    mma: 0.6,
    f32Lanes: 128,
  },
  {
    ...COMMON,
    name: "sm_120",
    computeCapability: 120,
    sharedBytesPerBlock: 99 * KIB,
    sharedBytesPerSm: 100 * KIB,
    threadsPerSm: 1536,
    blocksPerSm: 24,
    mma: 0.125,
    f32Lanes: 128,
  },
];

/** The architecture that nvcc's `-arch` name belongs to (`sm_90a` to sm_90, `sm_87` to sm_86), or null. */
export function cudaArchitecture(name: string): CudaArchitecture | null {
  const match = /^sm_(\d{2,3})[af]?$/.exec(name);
  if (match === null) return null;
  const capability = Number(match[1]);
  return CUDA_ARCHITECTURES.findLast((each) => each.computeCapability <= capability) ?? null;
}

/**
 * The same for an architecture that plans must be made for: a device's, or one that was asked for.
 * @throws MtacError MTA918: the planner knows none, as for devices before sm_80
 */
export function plannedArchitecture(name: string): CudaArchitecture {
  const architecture = cudaArchitecture(name);
  if (architecture !== null) return architecture;
  throw new MtacError("MTA918", "device", `mtac's kernels need sm_80 or newer, and this is ${name}`, {
    remedy: "use a device of compute capability 8.0 or newer, or `--target webgpu` on this one",
  });
}

/** What CUDA plans are made for where nobody says. */
export const DEFAULT_ARCHITECTURES: readonly string[] = ["sm_80"];
