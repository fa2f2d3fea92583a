import type { Dispatch } from "../contract/expand.ts";
import { type LaunchValues, uniformBytes, writeFields } from "../contract/launch.ts";
import type { Plan } from "../contract/plan.ts";
import { roundUp } from "./constants.ts";

/** Bytes of the largest launch block of a plan's kernels. */
function blockBytes({ kernels }: Plan): number {
  return Math.max(16, ...kernels.map(({ launch }) => uniformBytes(launch)));
}

/** Bytes between two dispatches' blocks: dynamic offsets have an alignment of their own (256 on most devices). */
export function slotBytes(device: GPUDevice, plan: Plan): number {
  return roundUp(blockBytes(plan), device.limits.minUniformBufferOffsetAlignment);
}

/** The uniform blocks of all dispatches of a call, `slot` bytes apart; little-endian, as WebGPU memory is. */
export function launchBlocks(call: LaunchValues, dispatches: readonly Dispatch[], slot: number): ArrayBuffer {
  const bytes = new ArrayBuffer(dispatches.length * slot);
  const view = new DataView(bytes);
  dispatches.forEach(({ kernel, launch }, index) => {
    writeFields(view, index * slot, kernel.launch, call, launch);
  });
  return bytes;
}
