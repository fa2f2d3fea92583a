import * as fc from "fast-check";
import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { describeAttention } from "../support/spec-text.ts";

/** Without the places in the spec, and without initialisers, which the printed spec leaves to their defaults. */
function bare(pipeline: Pipeline): unknown {
  return JSON.parse(
    JSON.stringify(pipeline, (key, value) => (key === "source" || key === "init" ? undefined : value)),
  );
}

test("a random attention written as a spec, parsed and lowered, is the same pipeline", () => {
  fc.assert(
    fc.property(randomCase({ maxKeys: 2 }), ({ attention, pipeline }) => {
      expect(bare(pipelineOf(describeAttention(attention), attention.name))).toEqual(bare(pipeline));
      expect(resolve(attention, "random.mta")).toEqual(pipeline);
    }),
  );
});
