import type { Pipeline } from "../../runtime/contract/index.ts";
import { stableJson } from "./stable-json.ts";

/** What an attention computes, as one text: equal for pipelines that differ in their names and places only. */
export function pipelineMeaning(pipeline: Pipeline): string {
  const { name: _name, ...meaning } = pipeline;
  return stableJson(meaning, new Set(["source"]));
}
