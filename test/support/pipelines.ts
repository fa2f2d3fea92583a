import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";

/** The pipeline of one attention of a spec's text. @throws Error with the diagnostics when the spec has errors. */
export function pipelineOf(source: string, attention: string, file = "spec.mta"): Pipeline {
  const { spec, diagnostics } = analyse(source, file);
  const found = spec?.attentions.find(({ name }) => name === attention);
  if (found === undefined)
    throw new Error(`no attention ${attention} in ${file}: ${JSON.stringify(diagnostics)}`);
  return resolve(found, file);
}
