import { PeerError } from "./peer.ts";

/** What a peer's process or page answers: a JSON object. */
export type Answer = ReadonlyMap<string, unknown>;

/** The answer in a value from outside; null for anything but an object. */
export function answerOf(value: unknown): Answer | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? new Map<string, unknown>(Object.entries(value))
    : null;
}

/** @throws PeerError MTA941 */
export function textIn(answer: Answer, field: string): string {
  const value = answer.get(field);
  if (typeof value !== "string") throw broken(field);
  return value;
}

/** @throws PeerError MTA941 */
export function millisecondsIn(answer: Answer, count: number): readonly number[] {
  const value = answer.get("milliseconds");
  if (!Array.isArray(value)) throw broken("milliseconds");
  const times = value.filter((each): each is number => typeof each === "number" && each >= 0);
  if (times.length !== count) throw broken("milliseconds");
  return times;
}

/**
 * The f32 values in a peer's output.
 * @throws PeerError MTA941 when they are not `count`.
 */
export function valuesIn(name: string, bytes: Uint8Array, count: number): Float32Array {
  if (bytes.byteLength !== count * 4)
    throw new PeerError("MTA941", `${name} gave ${bytes.byteLength / 4} values instead of ${count}`);
  // A copy: a Buffer may lie anywhere in a larger one.
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

/** @throws PeerError MTA941 when `work` takes longer than that; what it gives later is dropped. */
export async function within<T>(milliseconds: number, name: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new PeerError("MTA941", `${name} gave no answer within ${milliseconds / 1000} s`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function broken(field: string): PeerError {
  return new PeerError("MTA941", `the peer's answer lacks "${field}"`, {
    remedy: "install mtac again: its peer programs do not match it",
  });
}
