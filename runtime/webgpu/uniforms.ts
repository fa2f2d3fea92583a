import { type CallField, LAUNCH_BYTES, LAUNCH_FIELDS } from "../contract/launch.ts";
import { roundUp } from "./constants.ts";
import type { Dispatch } from "./expand.ts";

export type CallValues = Readonly<Record<CallField, number>>;

/** Bytes between two dispatches' blocks: dynamic offsets have an alignment of their own (256 on most devices). */
export function slotBytes(device: GPUDevice): number {
  return roundUp(LAUNCH_BYTES, device.limits.minUniformBufferOffsetAlignment);
}

/** The uniform blocks of all dispatches of a call, `slot` bytes apart; little-endian, as WebGPU memory is. */
export function launchBlocks(call: CallValues, dispatches: readonly Dispatch[], slot: number): ArrayBuffer {
  const bytes = new ArrayBuffer(dispatches.length * slot);
  const view = new DataView(bytes);
  dispatches.forEach(({ launch }, index) => {
    const values: Readonly<Record<string, number>> = { ...call, ...launch };
    LAUNCH_FIELDS.forEach(([name, type], field) => {
      const at = index * slot + field * 4;
      const value = values[name] ?? 0;
      switch (type) {
        case "u32":
          view.setUint32(at, value, true);
          break;
        case "i32":
          view.setInt32(at, value, true);
          break;
        case "f32":
          view.setFloat32(at, value, true);
          break;
      }
    });
  });
  return bytes;
}
