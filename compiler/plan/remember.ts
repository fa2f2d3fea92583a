import type { Pipeline } from "../../runtime/contract/index.ts";

/** Remembers results by pipeline and key, for as long as the pipeline lives: candidates ask for the same counts again and again. */
export function rememberByPipeline<T>(): (pipeline: Pipeline, key: string, compute: () => T) => T {
  const known = new WeakMap<Pipeline, Map<string, T>>();
  return (pipeline, key, compute) => {
    let results = known.get(pipeline);
    if (results === undefined) {
      results = new Map();
      known.set(pipeline, results);
    }
    let result = results.get(key);
    if (result === undefined) {
      result = compute();
      results.set(key, result);
    }
    return result;
  };
}
