/** The C API of an attention on a target, as far as it differs from another target's. */
export interface Api {
  /** What functions, types and files are called after. */
  readonly name: string;
  /** Whether tensors lie on a CUDA device and work is queued on a stream. Else the processor computes in threads of its own. */
  readonly cuda: boolean;
  /** The null pointer, in the language of the sources. */
  readonly nothing: string;
  /** A pointer as a number. */
  address(pointer: string): string;
}

export function cudaApi(name: string): Api {
  return {
    name,
    cuda: true,
    nothing: "nullptr",
    address: (pointer) => `reinterpret_cast<uintptr_t>(${pointer})`,
  };
}

export function cpuApi(name: string): Api {
  return { name, cuda: false, nothing: "NULL", address: (pointer) => `(uintptr_t)${pointer}` };
}
