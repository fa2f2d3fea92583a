import { describe, expect, it } from "vitest";
import { analyse, camelCase, renderDiagnostics, snakeCase, suggest } from "../../compiler/language/index.ts";
import { editDistance } from "../../compiler/language/suggest.ts";

describe("rendering", () => {
  const source = "attention a {\r\n\theads\t4x\r\n\thead_dim 8\r\n}\r\n";
  const { diagnostics } = analyse(source, "dir/spec.mta");

  it("shows place, code, line, underline, what was expected and the fix", () => {
    const text = renderDiagnostics(analyse("attention a { haeds 4 head_dim 8 }", "spec.mta").diagnostics, {
      source: "attention a { haeds 4 head_dim 8 }",
    });
    expect(text.split("\n").slice(0, 3)).toEqual([
      "spec.mta:1:15: error MTA113: unknown property `haeds`",
      "  1 | attention a { haeds 4 head_dim 8 }",
      "    |               ^^^^^",
    ]);
    expect(text).toContain("fix: did you mean `heads`?");
  });

  it("keeps tabs, so that the underline stands below its text", () => {
    expect(renderDiagnostics(diagnostics, { source }).split("\n").slice(0, 3)).toEqual([
      "dir/spec.mta:2:8: error MTA103: `4x` is no number",
      "  2 | \theads\t4x",
      "    | \t     \t^^",
    ]);
  });

  it("colours on request only", () => {
    const control = String.fromCharCode(27);
    expect(renderDiagnostics(diagnostics, { source })).not.toContain(control);
    expect(renderDiagnostics(diagnostics, { source, color: true })).toContain(
      `${control}[31m^^${control}[0m`,
    );
  });

  it("does without the source", () => {
    expect(renderDiagnostics(diagnostics, { source: null })).not.toContain("|");
  });

  it("lets no control character through", () => {
    const nasty = `attention a { heads ${String.fromCharCode(27)}[2J head_dim 8 }`;
    expect(renderDiagnostics(analyse(nasty, "spec.mta").diagnostics, { source: nasty })).not.toContain(
      String.fromCharCode(27),
    );
  });

  it("cuts long lines around the place", () => {
    const long = `attention a { heads 4  head_dim 8  mask causal ${"/* x */ ".repeat(60)} widow 3 }`;
    for (const line of renderDiagnostics(analyse(long, "spec.mta").diagnostics, { source: long }).split(
      "\n",
    )) {
      expect(line.length).toBeLessThan(200);
    }
  });
});

describe("suggestions", () => {
  it("counts edits, a swap as one", () => {
    expect([
      editDistance("heads", "haeds"),
      editDistance("", "abc"),
      editDistance("conv", "cov"),
      editDistance("a", "b"),
    ]).toEqual([1, 3, 1, 1]);
  });

  it("suggests what is near and nothing else", () => {
    const words = ["heads", "head_dim", "mask"];
    expect(["haeds", "headdim", "msk", "frobnicate", "x", ""].map((word) => suggest(word, words))).toEqual([
      "heads",
      "head_dim",
      "mask",
      null,
      null,
      null,
    ]);
  });

  it("respells names for TypeScript and back", () => {
    expect(["head_dim", "tile_q", "a__b", "a_1", "_a"].map(camelCase)).toEqual([
      "headDim",
      "tileQ",
      "aB",
      "a1",
      "a",
    ]);
    expect(["headDim", "tileQ", "heads"].map(snakeCase)).toEqual(["head_dim", "tile_q", "heads"]);
  });
});
