import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Specs that a kit has packages of. */
export interface KitSpec {
  /** Of the package. */
  readonly name: string;
  readonly text: string;
}

/** A spec's attention to be timed. */
export interface TimedAttention {
  readonly package: string;
  readonly attention: string;
  /** Types of q, k and v, the first of which matters most. */
  readonly types: readonly string[];
  /** Rows of queries and keys on a GPU, those first that tell most. */
  readonly lengths: readonly number[];
  /** The same on the processor, in float32. */
  readonly processorLengths: readonly number[];
}

const LENGTHS = [4096, 1024, 16384, 512, 2048, 8192];

/** What a whole kit has: the examples, and specs that together use all of the language that packages for PyTorch have. */
const FILES = {
  mta_830m: "examples/mta_830m.mta",
  mta_toy: "examples/mta_toy.mta",
  grouped_window: "examples/grouped_window.mta",
  plain: "test/gpu-kit/specs/plain.mta",
  masks: "test/golden/specs/masks.mta",
  stages: "test/gpu-kit/specs/stages.mta",
  dropout: "test/gpu-kit/specs/dropout.mta",
  two_pass: "test/golden/specs/two_pass.mta",
  folded: "test/golden/specs/folded.mta",
};

export const KIT_SPECS: readonly KitSpec[] = Object.entries(FILES).map(([name, file]) => ({
  name,
  text: readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8"),
}));

/** The attention of the paper's large model, beside others first. */
export const MAIN: readonly TimedAttention[] = [
  {
    package: "mta_830m",
    attention: "mta_830m",
    types: ["bf16", "f16"],
    lengths: LENGTHS,
    processorLengths: [128, 256],
  },
];

export const OTHERS: readonly TimedAttention[] = [
  ...(
    [
      ["plain", "plain"],
      ["dropout", "dropped"],
      ["mta_830m", "mta_830m_heads"],
      ["mta_toy", "mta_toy"],
      ["grouped_window", "grouped_window"],
    ] as const
  ).map(([from, attention]) => ({
    package: from,
    attention,
    types: ["bf16"],
    lengths: [4096, 1024, 16384],
    processorLengths: [128],
  })),
];
