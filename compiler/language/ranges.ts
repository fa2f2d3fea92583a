export interface Range {
  readonly min: number;
  readonly max: number;
  readonly integer: boolean;
  /** Zero is excluded: for ranges that lie on both sides of it. */
  readonly nonzero?: boolean;
  /** Numbers stay below `max`. */
  readonly below?: boolean;
}

function integers(min: number, max: number): Range {
  return { min, max, integer: true };
}

function numbers(min: number, max: number): Range {
  return { min, max, integer: false };
}

/** Every number of a spec has a range: inside it, emitted code can neither overflow nor divide by zero. */
export const RANGES = {
  heads: integers(1, 1024),
  headSize: integers(1, 512),
  kernel: integers(1, 64),
  group: integers(1, 64),
  dilation: integers(1, 64),
  window: integers(1, 16_777_216),
  layers: integers(1, 1024),
  layer: integers(0, 1023),
  step: integers(1, 1024),
  scale: { ...numbers(-10_000, 10_000), nonzero: true },
  eps: numbers(1e-12, 1),
  std: numbers(1e-9, 100),
  dropout: { ...numbers(0, 1), below: true },
  lengths: integers(1, 1_048_576),
  batch: integers(1, 65_535),
} as const satisfies Record<string, Range>;

/** Stages in one section: far more than any attention has, and few enough for every part of mtac to be quick. */
export const MAX_STAGES = 64;
