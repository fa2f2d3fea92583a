import { describeValue } from "../contract/arguments.ts";
import { MtacError } from "../contract/errors.ts";
import type { ParameterStore, ParameterVersion } from "../contract/parameters.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import { DISPOSE } from "../contract/typed-tensor.ts";

/**
 * What `forward(inputs, { save: true })` keeps for `backward`: the call's inputs and the parameters that it read. `release()` it after the last
 * backward pass, or declare it with `using`; until then inputs must be left alone. What else is kept is the launcher's business.
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

  /** As `release`. */
  [DISPOSE](): void {
    this.release();
  }
}

/** What is behind a `SavedCall`. */
export interface SavedState<Tensor, Memory> {
  readonly inputs: AttentionInputs<Tensor>;
  readonly version: ParameterVersion<Memory>;
}

/** The saved calls of one launcher. */
export class SavedCalls<Tensor, Memory> {
  readonly #subject: string;
  readonly #parameters: ParameterStore<Memory>;
  readonly #states = new WeakMap<SavedCall, SavedState<Tensor, Memory>>();

  /** @param subject For messages: `attention "mta"`. */
  constructor(subject: string, parameters: ParameterStore<Memory>) {
    this.#subject = subject;
    this.#parameters = parameters;
  }

  /** Keeps a call, and the parameters of this moment. */
  keep(inputs: AttentionInputs<Tensor>): SavedCall {
    const version = this.#parameters.acquire();
    const saved = new SavedCall(() => this.#parameters.release(version));
    this.#states.set(saved, { inputs: { ...inputs }, version });
    return saved;
  }

  /** @throws MtacError MTA621 … MTA623 */
  stateOf(saved: unknown): SavedState<Tensor, Memory> {
    const fault = (code: string, message: string, remedy = SAVE): MtacError =>
      new MtacError(code, "usage", message, { remedy });
    if (!(saved instanceof SavedCall))
      throw fault("MTA621", `gradients need a saved call, not ${describeValue(saved)}`);
    const state = this.#states.get(saved);
    if (state === undefined)
      throw fault("MTA622", `the call was saved by another launcher than this one of ${this.#subject}`);
    if (saved.released)
      throw fault(
        "MTA623",
        `the saved call of ${this.#subject} was released`,
        "release it after the last backward pass",
      );
    return state;
  }
}

const SAVE = "pass `saved` of what forward(inputs, { save: true }) of the same launcher gives";
