export {
  type ReferenceOptions,
  type ReferenceResult,
  referenceForward,
  type Trace,
} from "./forward.ts";
export { type ReferenceGradients, referenceGradients } from "./gradients.ts";
export { isVisible, type Sight, type SightQuestion, sightOf } from "./visibility.ts";
