import type { Layout } from "../contract/layout.ts";
import type { ParameterStore, ParameterVersion } from "../contract/parameters.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import type { BackendTypes } from "./backend.ts";

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

/** What is behind a `SavedCall`; its launcher alone knows it. It lives as long as one of its holders needs it, its maker the first one. */
export class SavedState<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  readonly inputs: AttentionInputs<Tensor>;
  readonly version: ParameterVersion<Types["memory"]>;
  /** What the output's stages were given, where there are some and the forward pass has kept it. */
  values: Types["owned"] | undefined;
  readonly #parameters: ParameterStore<Types["memory"]>;
  #holders = 1;

  /** Keeps the parameters of this moment. */
  constructor(inputs: AttentionInputs<Tensor>, parameters: ParameterStore<Types["memory"]>) {
    this.inputs = { ...inputs };
    this.version = parameters.acquire();
    this.#parameters = parameters;
  }

  /** One more holder, who calls `release` once. */
  hold(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.#parameters.release(this.version);
    this.values?.destroy();
  }
}
