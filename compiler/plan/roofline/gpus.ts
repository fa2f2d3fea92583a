import { derived, type Gpu, type GpuTarget, measured, published } from "./gpu.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MHZ = 1e6;
const GB = 1e9;
const TERA = 1e12;

const CUDA_GUIDE = "CUDA C++ Programming Guide";
const A100 = "NVIDIA A100 Tensor Core GPU Architecture (whitepaper)";
const H100 = "NVIDIA H100 Tensor Core GPU Architecture (whitepaper)";
const ADA = "NVIDIA Ada GPU Architecture (whitepaper), appendix A, GeForce RTX 4090";
const APPLE_CORE = "P. Turner, metal-benchmarks";
const XE_LP = "Intel oneAPI GPU Optimization Guide, Xe-LP architecture";

/** What every multiprocessor of NVIDIA's listed generations does a cycle. */
const NVIDIA_CYCLE = {
  specialFunctions: published(16, `${CUDA_GUIDE}, "Arithmetic Instructions"`),
  instructions: published(
    4,
    `${CUDA_GUIDE}, architecture chapters: four warp schedulers, one instruction each`,
  ),
  sharedBytes: derived(128, `${CUDA_GUIDE}, "Shared Memory": 32 banks of 4 bytes a cycle`),
} as const;

/** Apple's cores: of the families 7 and 8 (M1, M2). */
const APPLE_CYCLE = {
  f32MultiplyAdds: measured(128, `${APPLE_CORE}, "Operations per Second" (256 operations a core and cycle)`),
  specialFunctions: measured(32, `${APPLE_CORE}, "Operations per Second" (F32 Exp2)`),
  sharedBytes: measured(64, `${APPLE_CORE}, "On-Chip Memory"`),
} as const;

/** The variant that launchers pick on devices with 32 KiB of workgroup memory and f16. */
const WEBGPU_F16: GpuTarget = { target: "webgpu", workgroupBytes: 32 * KIB, features: ["shader-f16"] };

/** GPUs for which rooflines are drawn; each figure with its source. Clocks are the vendors' boost clocks: peaks, not averages. */
export const GPUS: readonly Gpu[] = [
  {
    name: "a100",
    title: "NVIDIA A100 SXM 80 GB",
    targets: [{ target: "cuda", architecture: "sm_80" }],
    multiprocessors: published(108, `${A100}, table 4`),
    clock: published(1410 * MHZ, `${A100}, table 4 (GPU boost clock)`),
    perCycle: {
      ...NVIDIA_CYCLE,
      matrixMultiplyAdds: published(1024, `${A100}, "A100 SM Architecture"`),
      f32MultiplyAdds: published(64, `${A100}, table 4 (FP32 cores/SM)`),
    },
    matrixOperations: published(312 * TERA, `${A100}, table 4 (FP16 with FP32 accumulate, dense)`),
    f32Operations: published(19.5 * TERA, `${A100}, table 4 (FP32, non-tensor)`),
    cacheBytes: published(40 * MIB, `${A100}, table 4 (L2 cache)`),
    cacheBandwidth: derived(
      5120 * 1410 * MHZ,
      `${A100}, "A100 L2 Cache": 5120 bytes a cycle, at the boost clock`,
    ),
    memoryBandwidth: published(2039 * GB, "NVIDIA A100 80GB datasheet (SXM)"),
  },
  {
    name: "h100",
    title: "NVIDIA H100 SXM 80 GB",
    targets: [{ target: "cuda", architecture: "sm_90" }],
    multiprocessors: published(132, `${H100}, table of H100 SXM5`),
    clock: published(
      1980 * MHZ,
      `${H100}, table of H100 SXM5 (boost clock, not of low-precision tensor work)`,
    ),
    matrixClock: published(
      1830 * MHZ,
      `${H100}, table of H100 SXM5 (boost clock of low-precision tensor work)`,
    ),
    perCycle: {
      ...NVIDIA_CYCLE,
      matrixMultiplyAdds: derived(
        2048,
        `${H100}, "H100 SM Architecture": twice A100's a multiprocessor and cycle`,
      ),
      f32MultiplyAdds: published(128, `${H100}, table of H100 SXM5 (FP32 cores/SM)`),
    },
    matrixOperations: published(
      989.4 * TERA,
      `${H100}, table of H100 SXM5 (FP16 with FP32 accumulate, dense)`,
    ),
    f32Operations: published(66.9 * TERA, `${H100}, table of H100 SXM5 (FP32, non-tensor)`),
    matrixShare: measured(
      0.629,
      "Luo et al., Dissecting the NVIDIA Hopper Architecture (arXiv 2501.12084): mma against wgmma, on average",
    ),
    cacheBytes: published(50 * MIB, `${H100}, table of H100 SXM5 (L2 cache)`),
    memoryBandwidth: published(3350 * GB, "NVIDIA H100 datasheet (SXM)"),
  },
  {
    name: "rtx-4090",
    title: "NVIDIA GeForce RTX 4090",
    targets: [{ target: "cuda", architecture: "sm_89" }, WEBGPU_F16],
    multiprocessors: published(128, ADA),
    clock: published(2520 * MHZ, `${ADA} (GPU boost clock)`),
    perCycle: {
      ...NVIDIA_CYCLE,
      matrixMultiplyAdds: derived(256, `${ADA}: the peak over multiprocessors and clock`),
      f32MultiplyAdds: published(128, `${ADA} (CUDA cores/SM)`),
    },
    matrixOperations: published(165.2 * TERA, `${ADA} (FP16 tensor with FP32 accumulate, dense)`),
    f32Operations: published(82.6 * TERA, `${ADA} (FP32, non-tensor)`),
    cacheBytes: published(72 * MIB, `${ADA} (L2 cache)`),
    memoryBandwidth: published(1008 * GB, ADA),
  },
  {
    name: "m1",
    title: "Apple M1, 8 GPU cores",
    targets: [WEBGPU_F16],
    multiprocessors: published(8, "Apple newsroom, 10 November 2020"),
    clock: measured(1278 * MHZ, `${APPLE_CORE}, "Overview"`),
    perCycle: APPLE_CYCLE,
    f32Operations: published(2.6 * TERA, "Apple newsroom, 10 November 2020"),
    cacheBytes: measured(8 * MIB, `${APPLE_CORE}, "Overview" (L3)`),
    memoryBandwidth: derived(68.25 * GB, "LPDDR4X-4266 on 128 bits"),
  },
  {
    name: "m2-max",
    title: "Apple M2 Max, 38 GPU cores",
    targets: [WEBGPU_F16],
    multiprocessors: published(38, "Apple newsroom, 17 January 2023"),
    clock: measured(1398 * MHZ, `${APPLE_CORE}, "Overview"`),
    perCycle: APPLE_CYCLE,
    f32Operations: measured(13.6 * TERA, `${APPLE_CORE}, "Overview"`),
    cacheBytes: measured(48 * MIB, `${APPLE_CORE}, "Overview" (L3)`),
    memoryBandwidth: published(400 * GB, "Apple newsroom, 17 January 2023"),
  },
  {
    name: "iris-xe",
    title: "Intel Iris Xe, 96 EUs (Core i7-1185G7)",
    targets: [WEBGPU_F16],
    multiprocessors: derived(6, `${XE_LP}: 96 EUs in dual subslices of 16`),
    clock: published(1350 * MHZ, "Intel ARK, Core i7-1185G7 (graphics max dynamic frequency)"),
    perCycle: {
      f32MultiplyAdds: derived(128, `${XE_LP}: 16 EUs of 8 lanes`),
      specialFunctions: derived(32, `${XE_LP}: 16 EUs of 2 lanes of extended math`),
      sharedBytes: published(128, `${XE_LP}: data port of a dual subslice`),
    },
    cacheBytes: published(12 * MIB, "Intel ARK, Core i7-1185G7 (Smart Cache)"),
    memoryBandwidth: derived(68.3 * GB, "LPDDR4X-4267 on 128 bits"),
  },
  {
    name: "immortalis-g715",
    title: "Arm Immortalis-G715 MC11 (MediaTek Dimensity 9200, a phone)",
    targets: [WEBGPU_F16],
    multiprocessors: published(11, "MediaTek Dimensity 9200 (product page)"),
    clock: measured(981 * MHZ, "what phones with the Dimensity 9200 report; MediaTek names no clock"),
    perCycle: {
      f32MultiplyAdds: published(128, "Arm GPU Datasheet, Immortalis-G715 (256 operations a core and cycle)"),
      specialFunctions: derived(
        32,
        "Arm, The Valhall Shader Core, fourth generation: a quarter of the multiply-adds' throughput",
      ),
      sharedBytes: derived(
        64,
        "Arm, The Valhall Shader Core, fourth generation: the load/store unit delivers a 64-byte line a cycle",
      ),
    },
    cacheBytes: published(6 * MIB, "MediaTek Dimensity 9200 (product page: system cache)"),
    memoryBandwidth: derived(68.3 * GB, "LPDDR5X-8533 on 64 bits"),
  },
];
