import type { StoredTensor } from "../../runtime/safetensors/index.ts";
import type { TensorNames } from "./locate.ts";

/** A model's tensors, by name. */
export interface StateDict {
  /** What to call it in messages. */
  readonly file: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Types of tensors that mtac does not read, by name: they are left, whatever they hold. */
  readonly foreign: ReadonlyMap<string, string>;
}

/** The names of all tensors of a state dict, also of those that mtac does not read. */
export function stateNames({ tensors, foreign }: StateDict): TensorNames {
  return {
    has: (name) => tensors.has(name) || foreign.has(name),
    keys: () => [...tensors.keys(), ...foreign.keys()].values(),
  };
}
