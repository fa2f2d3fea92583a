/** Random attentions whose gradients a target's tests compute, before MTAC_RUNS; `npm run soak:gradients` takes more. */
export const GRADIENT_RUNS = {
  webgpu: { project: "numeric", file: "test/numeric/gradients.test.ts", runs: 6 },
  cuda: { project: "cuda", file: "test/cuda/gradients.test.ts", runs: 4 },
  cpu: { project: "cpu", file: "test/cpu/gradients.test.ts", runs: 24 },
} as const;
