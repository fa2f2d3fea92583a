import type { CallValues } from "../contract/call.ts";
import type { Dispatch } from "../contract/expand.ts";
import { LAUNCH_BYTES, LAUNCH_FIELDS, writeFields } from "../contract/launch.ts";
import { roundUp } from "./constants.ts";

/** Bytes between two dispatches' blocks: dynamic offsets have an alignment of their own (256 on most devices). */
export function slotBytes(device: GPUDevice): number {
  return roundUp(LAUNCH_BYTES, device.limits.minUniformBufferOffsetAlignment);
}

/** The uniform blocks of all dispatches of a call, `slot` bytes apart; little-endian, as WebGPU memory is. */
export function launchBlocks(call: CallValues, dispatches: readonly Dispatch[], slot: number): ArrayBuffer {
  const bytes = new ArrayBuffer(dispatches.length * slot);
  const view = new DataView(bytes);
  dispatches.forEach(({ launch }, index) => {
    writeFields(view, index * slot, LAUNCH_FIELDS, { ...call, ...launch });
  });
  return bytes;
}
