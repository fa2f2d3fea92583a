import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { amalgamate } from "../../compiler/emit/c/amalgamate.ts";
import { gradientLibraryFor, libraryFor } from "../../compiler/emit/c/library.ts";
import { pipelineOf } from "../support/pipelines.ts";

const FOLDER = fileURLToPath(new URL("../../templates/c/", import.meta.url));

const headerOf = (title: string, guard: string, ...body: readonly string[]): string =>
  [`/* ${title} */`, `#ifndef ${guard}`, `#define ${guard}`, "", ...body, "", "#endif", ""].join("\n");

function textOf(headers: Readonly<Record<string, string>>, parts: readonly string[] = []): string {
  return amalgamate("top.h", (name) => headers[name] ?? "", new Set(parts)).text;
}

describe("headers as one text", () => {
  const top = headerOf(
    "Top.",
    "TOP_H",
    "#include <stdint.h>",
    "",
    '#include "a.h"',
    '#include "b.h"',
    "",
    "int top;",
  );
  const a = headerOf("A.", "A_H", "#include <stddef.h>", '#include "b.h"', "", "int a;");
  const b = headerOf("B.", "B_H", "#include <stdint.h>", "", "int b;");

  test("has each once, what is used before what uses it", () => {
    const headers = { "top.h": top, "a.h": a, "b.h": b };
    expect(textOf(headers)).toBe("/* B. */\n\nint b;\n\n/* A. */\n\nint a;\n\n/* Top. */\n\nint top;\n");
    const { system } = amalgamate(
      "top.h",
      (name) => new Map(Object.entries(headers)).get(name) ?? "",
      new Set(),
    );
    expect(system).toEqual(["stddef.h", "stdint.h"]);
  });

  test("has the lines of wanted parts, and other conditions as they are", () => {
    const lines = [
      ...[
        "#if WITH_X",
        "int x;",
        "#if OTHER",
        "int other;",
        "#endif",
        "#if WITH_Y",
        "int y;",
        "#endif",
        "#endif",
      ],
      ...["", "#ifndef Z", "int z;", "#endif"],
    ];
    const headers = { "top.h": headerOf("Top.", "TOP_H", ...lines) };
    expect(textOf(headers)).toBe("/* Top. */\n\n#ifndef Z\nint z;\n#endif\n");
    const x = "int x;\n#if OTHER\nint other;\n#endif\n";
    expect(textOf(headers, ["WITH_X"])).toBe(`/* Top. */\n\n${x}\n#ifndef Z\nint z;\n#endif\n`);
    expect(textOf(headers, ["WITH_X", "WITH_Y"])).toContain(`${x}int y;\n`);
    expect(textOf(headers, ["WITH_Y"])).not.toContain("int y;");
  });

  test("lacks a header of which nothing is wanted, title and all", () => {
    const rest = headerOf("A.", "A_H", "#if WITH_X", "int x;", "#endif");
    expect(textOf({ "top.h": top, "a.h": rest, "b.h": b })).not.toContain("/* A. */");
  });

  test("takes no header without a guard", () => {
    expect(() => textOf({ "top.h": "int top;\n" })).toThrow("top.h has no guard");
  });
});

describe("the library of an attention", () => {
  const texts = readdirSync(FOLDER)
    .filter((name) => name.endsWith(".h"))
    .map((name) => readFileSync(FOLDER + name, "utf8"));

  test("has all parts that its conditions name", () => {
    const defined = texts.flatMap((text) =>
      [...text.matchAll(/^#define (WITH_\w+) 1$/gm)].map(([, name]) => name),
    );
    const asked = texts.flatMap((text) => [...text.matchAll(/^#if (WITH_\w+)$/gm)].map(([, name]) => name));
    expect([...new Set(asked)].sort()).toEqual(defined.sort());
    const source = `attention all { heads 4 head_dim 8 mask causal documents
      scores { conv 2x3; mix 2; relu } output { norm } }`;
    for (const normalize of ["softmax", "sparsemax"] as const) {
      const { text } = libraryFor({ ...pipelineOf(source, "all"), normalize });
      expect(text).not.toContain("WITH_");
      expect(text).toContain(`INLINE ${normalize === "softmax" ? "float exponentials" : "void sparsemax"}(`);
      for (const part of ["conv_document", "mix_group", "change_entries", "change_output"])
        expect(text).toContain(` ${part}(`);
    }
  });

  test("has passes of the taps that there are, and no convolution where there is none", () => {
    const passes = (stages: string): string[] => {
      const { text } = libraryFor(
        pipelineOf(`attention a { heads 2 head_dim 8 mask causal ${stages} }`, "a"),
      );
      return text.match(/DEFINE_CONV\(\d\)/g) ?? [];
    };
    expect(passes("scores { conv 6x11 }")).toEqual(["DEFINE_CONV(6)"]);
    expect(passes("scores { conv 19x3 } weights { conv 2x3 }")).toEqual([
      "DEFINE_CONV(2)",
      "DEFINE_CONV(3)",
      "DEFINE_CONV(8)",
    ]);
    expect(libraryFor(pipelineOf("attention a { heads 2 head_dim 8 mask causal }", "a")).text).not.toMatch(
      /conv_/,
    );
  });

  test("for gradients has what their stages need, and nothing of a forward pass alone", () => {
    const of = (stages: string): string =>
      gradientLibraryFor(pipelineOf(`attention a { heads 2 head_dim 8 mask causal ${stages} }`, "a")).text;
    const parts = {
      "scores { conv 2x3 }": "convolve_adjoint",
      "weights { mix 2 }": "mix_weights",
      "scores { softcap 9 }": "change_adjoint",
      "output { gate }": "adjoin_output_row",
    };
    for (const [stages, own] of Object.entries(parts)) {
      const text = of(stages);
      expect(text).not.toContain("WITH_");
      expect(text).toContain("compute_gradients(");
      expect(text).not.toContain("struct worker");
      for (const part of Object.values(parts)) expect(text.includes(` ${part}(`), part).toBe(part === own);
    }
    // Emitted sources are read: their lines fit a screen.
    const lines = of("scores { conv 2x3; mix 2; relu } output { norm }").split("\n");
    expect(lines.filter((line) => line.length > 120)).toEqual([]);
  });
});
