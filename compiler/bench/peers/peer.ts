import {
  type AttentionInputs,
  type CallShape,
  type Float64Tensor,
  MtacError,
  type Pipeline,
} from "../../../runtime/contract/index.ts";

/** One other implementation of the same attention, on the same machine in the same run. */
export interface Peer {
  /** For example `onnxruntime-node`. */
  readonly name: string;
  readonly version: string;
  /** What it runs on, and in which precision it computes: one line for people. */
  readonly device: string;
  /**
   * o, f32 [B, H, Lq, Dv], row-major: for the comparison with the reference.
   * @throws PeerError MTA941
   */
  run(): Promise<Float32Array>;
  /**
   * Milliseconds of each of `count` runs, after one run that is not counted. Measured beside the work (in the page, in the other
   * process); inputs lie on the device already, and o stays there.
   * @throws PeerError MTA941
   */
  time(count: number): Promise<readonly number[]>;
  /** Ends the peer's process and removes its files. Calls in progress fail. Never throws. */
  close(): Promise<void>;
}

/** A peer that is ready, or why there is none and what would bring it. */
export type PeerResult =
  | { readonly available: true; readonly peer: Peer }
  | {
      readonly available: false;
      readonly name: string;
      readonly reason: string;
      readonly remedy: string;
    };

/** The call that a peer is to make. */
export interface PeerRequest {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  /** For `depth_scale`; the inputs' own, if not given. */
  readonly layer?: number;
  /** The folder from which packages are looked up, as a module in it would: the user's project. */
  readonly resolveFrom: string;
  /** All compute on the processor, in so many threads; if not given, a peer computes where it is at its best. */
  readonly processor?: { readonly threads: number };
  /** The Python to ask for PyTorch; else `MTAC_PYTHON`, else `python3`. */
  readonly python?: string;
  /** How long a peer may take to open, for one run, and for each one it times. Ten minutes, if not given. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 600_000;

export function patienceOf({ patienceMs = PATIENCE_MS }: PeerRequest): number {
  return patienceMs;
}

/** A peer that cannot be used (MTA940), or that was opened and failed (MTA941). */
export class PeerError extends MtacError {
  override readonly name: string = "PeerError";

  constructor(
    code: "MTA940" | "MTA941",
    message: string,
    options: { readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(code, "device", message, options);
  }
}

export function unavailable(message: string, remedy: string, cause?: unknown): PeerError {
  return new PeerError("MTA940", message, { remedy, cause });
}

/** What an implementation cannot compute at all: no package would bring it. */
export function inexpressible(message: string): PeerError {
  return unavailable(message, "compare with PyTorch, which runs every spec, or leave this peer out");
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Opens a peer; whatever goes wrong becomes the reason why there is none.
 * @param open Gives a peer, or throws and leaves nothing behind.
 */
export async function asResult(name: string, open: () => Promise<Peer>): Promise<PeerResult> {
  try {
    return { available: true, peer: await open() };
  } catch (error) {
    return reasonOf(name, error);
  }
}

export function reasonOf(name: string, error: unknown): PeerResult {
  const remedy = error instanceof MtacError ? error.remedy : null;
  return { available: false, name, reason: messageOf(error), remedy: remedy ?? `leave ${name} out` };
}
