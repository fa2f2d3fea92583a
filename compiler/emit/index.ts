export {
  type ArtifactOptions,
  addTunedPlans,
  type CudaArtifactOptions,
  emitArtifact,
  emitCudaArtifact,
  type PlanThatWon,
} from "./artifact.ts";
export { emitHostFiles } from "./cuda/host/index.ts";
export { emitKernels } from "./kernels.ts";
