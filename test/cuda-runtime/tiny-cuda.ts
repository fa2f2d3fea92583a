import type { Artifact, KernelPlan, Plan } from "../../runtime/contract/index.ts";
import { LAUNCH_FIELDS } from "../../runtime/contract/launch-fields.ts";
import { kernel, plan, SCALE_STEPS } from "../webgpu-runtime/tiny-plans.ts";

/** CUDA plans written by hand, small enough that their results can be checked by eye. */

const TYPES = { u32: "unsigned", i32: "int", f32: "float" } as const;

export const LAUNCH_STRUCT = `struct Launch {\n${LAUNCH_FIELDS.map(([name, type]) => `  ${TYPES[type]} ${name};`).join("\n")}\n};`;

/** o[b, h, i, d] = weight[d] · q[b, h, i, d]; lse = the row's number, counted from what `positions` says. */
export const SCALE_SOURCE = `${LAUNCH_STRUCT}
#ifndef MTAC_KERNELS_ONLY
#error "host code"
#endif
extern "C" __global__ void __launch_bounds__(64) tiny_scale(
    const Launch launch, const float* __restrict__ q, const float* __restrict__ parameters,
    float* __restrict__ o, float* __restrict__ lse, const int* __restrict__ positions) {
  extern __shared__ float weights[];
  if (threadIdx.x < 4) weights[threadIdx.x] = parameters[threadIdx.x] * launch.depth_scale;
  __syncthreads();
  const int row = launch.row_begin + int(threadIdx.x);
  if (row >= launch.row_end) return;
  const unsigned b = launch.batch, h = blockIdx.y;
  for (unsigned d = 0; d < 4; d++) {
    o[b * launch.o_stride_b + h * launch.o_stride_h + row * launch.o_stride_l + d] =
        weights[d] * q[b * launch.q_stride_b + h * launch.q_stride_h + row * launch.q_stride_l + d];
  }
  const int first = launch.has_positions != 0 ? positions[b] : 0;
  lse[(b * 2 + h) * launch.query_rows + row] = float(first + row);
}
`;

export const CUDA_CHANGES = {
  target: "cuda",
  requires: {
    workgroupBytes: 1024,
    invocations: 64,
    storageBuffers: 0,
    features: [],
    computeCapability: 80,
  },
} as const satisfies Partial<Plan>;

export function scaleKernel(changes: Partial<KernelPlan> = {}): KernelPlan {
  return kernel("scale", ["q", "parameters", "o", "lse", "<positions"], {
    file: "tiny.cu",
    entryPoint: "tiny_scale",
    workgroupBytes: 16,
    ...changes,
  });
}

export function scaleArtifact(
  changes: Partial<Plan> = {},
  kernelChanges: Partial<KernelPlan> = {},
): Artifact {
  return {
    name: "tiny",
    plans: [plan([scaleKernel(kernelChanges)], SCALE_STEPS, { ...CUDA_CHANGES, ...changes })],
    sources: { "tiny.cu": SCALE_SOURCE },
  };
}
