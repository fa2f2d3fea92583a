import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as builder from "../../compiler/language/index.ts";
import { analyse, analyseBuilt, attention, format } from "../../compiler/language/index.ts";
import { POINTWISE, POINTWISE_KINDS } from "../../compiler/language/pointwise.ts";
import { spellPointwise } from "../../runtime/contract/index.ts";

/** What a pointwise stage needs beside what the type checker asks for, named where it is missing. */
describe.each(POINTWISE_KINDS)("the pointwise stage %s", (kind) => {
  const { operand, make } = POINTWISE[kind];
  const value = operand?.example ?? 0;
  const spec = `attention a { heads 1 head_dim 4 scores { ${spellPointwise(make(value))} } }\n`;

  test("is read, formatted as it stands, and printed", () => {
    const { spec: checked, diagnostics } = analyse(spec, "a.mta");
    expect(diagnostics).toEqual([]);
    expect(checked?.attentions[0]?.scores).toEqual([{ ...make(value), span: expect.anything() }]);
    expect(format(spec, "a.mta")).toMatchObject({
      text: expect.stringContaining(spellPointwise(make(value))),
    });
  });

  test("has a function of its name in the builder", () => {
    const make: unknown = Reflect.get(builder, kind);
    if (typeof make !== "function") throw new Error(`compiler/language/builder.ts has no function ${kind}`);
    const stage = operand === null ? make() : make(value);
    const built = attention("a", { heads: 1, headDim: 4, scores: [stage] });
    const { spec: checked, diagnostics } = analyseBuilt(built, "a.ts");
    expect(diagnostics).toEqual([]);
    expect(checked?.attentions[0]?.scores[0]).toMatchObject(POINTWISE[kind].make(value));
  });

  test.each(["wgsl", "cuda"])(
    "has a function of its name in templates/%s/partials/pointwise.hbs",
    (language) => {
      const path = new URL(`../../templates/${language}/partials/pointwise.hbs`, import.meta.url);
      expect(readFileSync(path, "utf8")).toMatch(new RegExp(`\\b${kind}\\(`));
    },
  );

  test("is computed by PyTorch's program, against which mtac is measured", () => {
    const path = new URL("../../compiler/bench/peers/programs/attention.py", import.meta.url);
    expect(readFileSync(path, "utf8")).toContain(`"${kind}": lambda source, stage:`);
  });
});
