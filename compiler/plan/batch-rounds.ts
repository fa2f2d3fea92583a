import type { Expression, Step } from "../../runtime/contract/index.ts";

/** The most workgroups along y and z of a CUDA grid, and along any axis of WebGPU's. */
export const MOST_GRID = 65535;

/**
 * Steps over all batch entries, which lie along a grid's z: more of them than it holds take several rounds.
 *
 * @param body The steps of a round of `batches` entries, the first of which is the variable `batch`.
 */
export function batchRounds(body: (batches: Expression) => readonly Step[]): readonly Step[] {
  const batches: Expression = ["min", MOST_GRID, ["sub", "B", "batch"]];
  return [{ kind: "loop", variable: "batch", from: 0, to: "B", by: MOST_GRID, body: body(batches) }];
}
