import { describe, expect, test } from "vitest";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import {
  type ReferenceGradients,
  referenceForward,
  referenceGradients,
} from "../../runtime/reference/index.ts";
import { relativeError } from "../support/errors.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";

/** The vectors are float64 results stored as f32: half an ulp of f32 is 6e-8. */
const TOLERANCE = 1e-6;

const all = allVectors();
const folders = all === null ? [OWN_VECTORS] : [OWN_VECTORS, all];

function resultNamed(name: string, found: ReferenceGradients): Float64Tensor | null {
  switch (name) {
    case "o":
      return found.o;
    case "lse":
      return found.lse;
    case "d_q":
      return found.dQ;
    case "d_q_history":
      return found.dQHistory;
    case "d_k":
      return found.dK;
    case "d_v":
      return found.dV;
    default:
      return found.parameters.get(name.replace(/^d_/, "")) ?? null;
  }
}

describe.each(folders)("official vectors in %s", (folder) => {
  test.each(caseNames(folder))("%s: results and gradients", (name) => {
    const vector = loadCase(folder, name);
    const pipeline = pipelineOf(vector.spec, vector.attention);
    const { inputs, parameters, dO } = callOf(pipeline, vector);
    const found = referenceGradients(pipeline, parameters, inputs, dO);
    for (const [tensor, expected] of vector.expected) {
      const result = resultNamed(tensor, found);
      expect(result?.shape, tensor).toEqual(expected.shape);
      expect(relativeError(result?.data ?? [], expected.data), tensor).toBeLessThanOrEqual(TOLERANCE);
    }
    const forward = referenceForward(pipeline, parameters, inputs);
    expect(relativeError(forward.o.data, found.o.data)).toBe(0);
    expect(relativeError(forward.lse?.data ?? [], found.lse?.data ?? [])).toBe(0);
  });
});

test("the project's subset covers the language's features", () => {
  const specs = caseNames(OWN_VECTORS)
    .map((name) => loadCase(OWN_VECTORS, name).spec)
    .join("\n");
  const words = [
    "kv_heads",
    "documents",
    "window",
    "mask bias",
    "across",
    "dilation",
    "sparsemax",
    "depth_scale",
    "pad_key left",
  ];
  for (const word of [...words, "mix", "gate", "norm", "pad_query both"]) expect(specs).toContain(word);
});
