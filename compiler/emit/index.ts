export {
  type ArtifactOptions,
  addTunedPlans,
  artifactOf,
  emitArtifact,
  type PlanThatWon,
} from "./artifact.ts";
export { emitCFiles } from "./c/index.ts";
export { emitHostFiles } from "./cuda/host/index.ts";
export { emitKernels } from "./kernels.ts";
export { loadGradients } from "./load-gradients.ts";
