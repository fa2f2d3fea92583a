import { readFileSync } from "node:fs";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";

const PRE_ONLY = `attention pre_6x11 {
  heads 8
  head_dim 64
  scores { conv 6x11 }
}
`;

function pipelineFrom(source: string, file: string, name: string): Pipeline {
  const { spec } = analyse(source, file);
  const found = spec?.attentions.find((attention) => attention.name === name);
  if (found === undefined) throw new Error(`${file} has no attention "${name}"`);
  return resolve(found, file);
}

function example(file: string, name: string): Pipeline {
  return pipelineFrom(readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8"), file, name);
}

/** The specs of the benchmark: the paper's toy layer, the score convolution alone, and its 830M layer. */
export function benchmarkPipelines(): Pipeline[] {
  return [
    example("mta_toy.mta", "mta_toy"),
    pipelineFrom(PRE_ONLY, "pre_6x11.mta", "pre_6x11"),
    example("mta_830m.mta", "mta_830m"),
  ];
}
