/**
 * Levers that force what short sequences and small devices never need: halos between strips, keys that several blocks share, dispatches
 * that are cut. For tests; candidates that one of them does not change are dropped, so that none is switched off unnoticed.
 */
export interface PlanOptions {
  /** `staged`: exactly so many rows of a strip, before they are rounded up to what its kernels need. */
  readonly stripRows?: number;
  /** `staged`: bytes that the maps of a strip may take; where they hold no whole batch entry, strips take one each. */
  readonly stripBytes?: number;
  /** Kernels whose blocks can share a row's keys: so many blocks do, where one tile holds all rows. */
  readonly splits?: number;
  /** Fused kernels of machines whose dispatches are cut: multiply-adds that one may do. */
  readonly dispatchBudget?: number;
}

export type OptionName = keyof PlanOptions;

const NAMES: Readonly<Record<OptionName, true>> = {
  stripRows: true,
  stripBytes: true,
  splits: true,
  dispatchBudget: true,
};

/** @throws RangeError for an option that does not exist, or a value that is no positive whole number */
export function checkOptions(options: PlanOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(NAMES, name)) throw new RangeError(`the planner has no option "${name}"`);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`the planner's option ${name} is ${value}, not a positive whole number`);
  }
}

/** Why a plan that uses these options cannot be what was asked for: it would ignore one; null where it uses all that are given. */
export function ignoredOption(options: PlanOptions | undefined, used: readonly OptionName[]): string | null {
  const ignored = Object.keys(options ?? {}).find((name) => !used.some((each) => each === name));
  return ignored === undefined ? null : `the option ${ignored} changes nothing here`;
}
