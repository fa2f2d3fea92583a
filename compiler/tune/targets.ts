/** What kernels are tuned on: whatever can be timed. */
export { METERED_TARGETS as TUNED_TARGETS, type MeteredTarget as TunedTarget } from "../execution/targets.ts";
