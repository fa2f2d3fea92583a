/**
 * `mtac/reference`: the float64 reference, forward and gradients of every feature, in plain loops. What the kernels are held to.
 *
 * @packageDocumentation
 */
export {
  type ReferenceOptions,
  type ReferenceResult,
  referenceForward,
  type Trace,
} from "./forward.ts";
export { type GradientOptions, type ReferenceGradients, referenceGradients } from "./gradients.ts";
export { isVisible, type Sight, type SightQuestion, sightOf } from "./visibility.ts";
