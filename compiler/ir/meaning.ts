import type { Pipeline } from "../../runtime/contract/index.ts";

/** What an attention computes, as one text: equal for pipelines that differ in their names and places only. */
export function pipelineMeaning(pipeline: Pipeline): string {
  const { name: _name, ...meaning } = pipeline;
  return stableJson(meaning, new Set(["source"]));
}

/**
 * JSON whose text depends on the value only: keys sorted, nothing between tokens, `undefined` left out.
 *
 * @param omitted Keys to leave out, wherever they occur.
 */
export function stableJson(value: unknown, omitted: ReadonlySet<string> = new Set()): string {
  return JSON.stringify(value, (_key, each: unknown) => {
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(
      Object.entries(each)
        .filter(([key]) => !omitted.has(key))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}
