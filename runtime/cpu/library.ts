/** Memory that a library computes in. */
export interface CpuMemory {
  /** As the words of a call hold it; a multiple of 64. */
  readonly address: number | bigint;
  /** What was asked for. */
  readonly size: number;
}

/** One direction of the compiled attention: what computes calls. */
export interface CpuPass {
  /** Bytes of workspace that a call needs in so many parts. */
  workspaceBytes(words: CpuMemory, parts: number): number;
  /**
   * Computes a call, each part on a thread of its own.
   *
   * @param brief Whether it ends so soon that the caller's thread had better wait than hand it over.
   */
  compute(words: CpuMemory, workspace: CpuMemory, parts: number, brief: boolean): Promise<void>;
}

/**
 * The compiled attention (`templates/c`): machine code, or a WebAssembly module. Two implementations: `native/library.ts`,
 * `wasm/library.ts`.
 */
export interface CpuLibrary {
  readonly kind: "native" | "wasm";
  /** For people, for example `C by gcc 12.2, 16 floats a vector`. */
  readonly description: string;
  /** Floats of one vector. */
  readonly lanes: number;
  /** Threads that calls use at most. */
  readonly threads: number;
  /** @throws CpuError MTA888: there is no memory left. */
  allocate(bytes: number, label: string): CpuMemory;
  /** Gives back what `allocate` gave, once. */
  free(memory: CpuMemory): void;
  /** The bytes of a memory; not to be kept, as memory may move where it grows. */
  bytesOf(memory: CpuMemory): Uint8Array<ArrayBufferLike>;
  readonly forward: CpuPass;
  /** What computes gradients, which is loaded when it is first asked for. @throws CpuError MTA882 … MTA884 */
  backward(): Promise<CpuPass>;
  /** Ends the threads; the library is not used any more. */
  close(): Promise<void>;
}
