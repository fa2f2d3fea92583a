/** A tensor of a call, by its name in messages. */
export interface NamedBuffer {
  readonly name: string;
  readonly buffer: GPUBuffer;
}

export interface Blame {
  readonly reason: string;
  readonly remedy: string;
}

/** What drivers say (Dawn, wgpu, Firefox) of buffers that cannot be used, and what it means for whoever made the call. */
const CAUSES = [
  {
    said: /destroyed/i,
    reason: "was destroyed before the call was submitted",
    remedy: "keep it until the call is submitted, or upload it again",
  },
  {
    said: /associated with|different device|another device|does not match|from device/i,
    reason: "belongs to another device than the launcher",
    remedy: "upload it to the launcher's device: `upload(launcher.device, …)`",
  },
  {
    said: /\bmapped\b/i,
    reason: "is mapped by the program",
    remedy: "unmap() its buffer before the call",
  },
] as const;

/**
 * Whose buffer a driver refused. WebGPU tells programs nothing of a buffer's state or device: the driver's message does, with the
 * buffer's label.
 *
 * @returns null where the message speaks of none of the tensors.
 */
export function blameTensor(message: string, tensors: readonly NamedBuffer[]): Blame | null {
  const cause = CAUSES.find(({ said }) => said.test(message));
  if (cause === undefined) return null;
  // In quotes, of either kind: labels may be as short as `q`.
  const says = (label: string): boolean => message.includes(`"${label}"`) || message.includes(`'${label}'`);
  const labelled = tensors.filter(({ buffer: { label } }) => label !== "" && says(label));
  const found = labelled.length > 0 ? labelled : tensors.filter(({ buffer }) => buffer.label === "");
  const names = [...new Set(found.map(({ name }) => name))];
  if (names.length === 0) return null;
  return {
    reason: `${names.length === 1 ? "the tensor" : "one of the tensors"} ${names.join(", ")} ${cause.reason}`,
    remedy: names.length === 1 ? cause.remedy : `${cause.remedy}; labels of buffers tell which one it is`,
  };
}
