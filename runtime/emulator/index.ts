/** Executes PTX, as nvcc emits it, on the CPU: for tests and for exact counts where there is no GPU. */
export { addCounters, type Counters } from "./counters.ts";
export { type Allocation, EmulatedDevice, type EmulatedLaunch, type EmulatorOptions } from "./device.ts";
export { EMULATOR_ERRORS, EmulatorError, type EmulatorErrorCode } from "./errors.ts";
export { boundOf, type CycleEstimate, estimateCycles, totalCycles } from "./estimate.ts";
export type { WarpOrder } from "./machine/run.ts";
export type { EmulatedKernel, EmulatedModule } from "./module.ts";
