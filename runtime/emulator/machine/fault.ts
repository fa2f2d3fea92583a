import { EmulatorError, type EmulatorErrorCode } from "../errors.ts";
import type { Instruction } from "../ptx/ir.ts";
import type { Warp } from "./warp.ts";

/** Where an instruction is, for a reader: `file:line`, with the place it was inlined into. */
export interface Place {
  readonly file: string | null;
  readonly line: number | null;
  readonly text: string;
}

/**
 * The innermost source line; an intrinsic's line in NVIDIA's headers says less than the line that calls it, so that one is given
 * instead.
 */
export function placeOf(instruction: Instruction, files: ReadonlyMap<number, string>): Place {
  const { location } = instruction;
  const ptx = `PTX line ${instruction.ptxLine}: ${instruction.text}`;
  if (location === null) return { file: null, line: null, text: ptx };
  const inner = files.get(location.file) ?? `file ${location.file}`;
  const outer =
    location.inlinedFile === null
      ? null
      : (files.get(location.inlinedFile) ?? `file ${location.inlinedFile}`);
  if (outer !== null && location.inlinedLine !== null && /[\\/]include[\\/]/.test(inner)) {
    return { file: outer, line: location.inlinedLine, text: `${outer}:${location.inlinedLine} (${ptx})` };
  }
  const inlined = outer === null ? "" : `, inlined at ${outer}:${location.inlinedLine}`;
  return { file: inner, line: location.line, text: `${inner}:${location.line}${inlined} (${ptx})` };
}

export function threadOf(warp: Warp, lane: number): [number, number, number] {
  const at = (axis: number) => warp.I[axis * 32 + lane] ?? 0;
  return [at(0), at(1), at(2)];
}

const REMEDIES: Partial<Record<EmulatorErrorCode, string>> = {
  MTA853: "Vector accesses need addresses that are multiples of their size.",
  MTA854: "Write (or fill) the memory before it is read.",
  MTA855: "Put a barrier between the two accesses (__syncwarp is enough within one warp).",
  MTA856: "Let every lane of the warp reach the instruction together.",
  MTA857: "Let every warp that the barrier counts reach it.",
  MTA859: "Wait for the group (cp.async.wait_group) and put a barrier before other threads read it.",
};

/** A fault of one lane of a warp at one instruction; `lane` is -1 where it concerns the warp. */
export function fault(
  code: EmulatorErrorCode,
  warp: Warp,
  id: number,
  lane: number,
  what: string,
): EmulatorError {
  const { cta } = warp;
  const { kernel } = cta;
  const instruction = kernel.parsed.instructions[id];
  const place = instruction === undefined ? null : placeOf(instruction, kernel.files);
  const thread = threadOf(warp, Math.max(lane, 0));
  const who = lane < 0 ? `warp ${warp.index}` : `thread (${thread.join(", ")})`;
  const where = place === null ? "" : ` at ${place.text}`;
  const remedy = REMEDIES[code];
  return new EmulatorError(
    code,
    `kernel ${kernel.name}, block (${cta.ctaid.join(", ")}), ${who}: ${what}${where}`,
    {
      kernel: kernel.name,
      block: cta.ctaid,
      thread,
      file: place?.file ?? null,
      line: place?.line ?? null,
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}

/** Names another access in a report of a race. */
export function accessText(warp: Warp, id: number): string {
  const { kernel } = warp.cta;
  const instruction = kernel.parsed.instructions[id < 0 ? ~id : id];
  return instruction === undefined ? "an unknown access" : placeOf(instruction, kernel.files).text;
}

export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
