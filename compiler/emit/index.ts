export { type ArtifactOptions, addTunedPlans, emitArtifact, type PlanThatWon } from "./artifact.ts";
export { emitHostFiles } from "./cuda/host/index.ts";
export { emitKernels } from "./kernels.ts";
