import type { ParameterVersion } from "../contract/parameters.ts";
import type { AttentionInputs } from "../contract/tensor.ts";

/**
 * What `forward(inputs, { save: true })` keeps for `backward`: the call's inputs and the parameters that it read. `release()` it after the last
 * backward pass; until then inputs must be left alone. What else is kept is the launcher's business.
 */
export class SavedCall {
  readonly #release: () => void;
  #released = false;

  constructor(release: () => void) {
    this.#release = release;
  }

  /** Whether `release` was called. */
  get released(): boolean {
    return this.#released;
  }

  /** Gives back what is kept, once. A backward pass under way ends well. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#release();
  }
}

/** What is behind a `SavedCall`; its launcher alone knows it. */
export interface SavedState<Tensor, Memory> {
  readonly inputs: AttentionInputs<Tensor>;
  readonly version: ParameterVersion<Memory>;
  /** What the output's stages were given; null where there are none, or where the forward pass did not keep it. */
  readonly values: SharedTensor<Tensor> | null;
}

/** A tensor that lives as long as one of its holders needs it. */
export class SharedTensor<Tensor> {
  readonly tensor: Tensor;
  readonly #destroy: () => void;
  #holders = 1;

  constructor(tensor: Tensor & { destroy(): void }) {
    this.tensor = tensor;
    this.#destroy = () => tensor.destroy();
  }

  /** One more holder, who calls `release` once. */
  hold(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#holders === 0) this.#destroy();
  }
}
