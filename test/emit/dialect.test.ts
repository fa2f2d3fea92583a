import { describe, expect, test } from "vitest";
import { dialectOf } from "../../compiler/emit/dialect/index.ts";
import { ConstantTable } from "../../compiler/emit/model/constants.ts";

function table(): ConstantTable {
  const constants = new ConstantTable();
  constants.int("ROWS", 32, "Rows of a tile.");
  constants.float("SCALE", 1);
  constants.float("TINY", 1e-30);
  constants.float("LARGE", 1e30);
  constants.bool("WHOLE", true);
  constants.float("EXPONENT", "SCALE * LOG2_E");
  return constants;
}

function linesOf(target: "webgpu" | "cuda"): readonly string[] {
  return table()
    .print(dialectOf(target))
    .map(({ declaration }) => declaration);
}

describe("constants", () => {
  test("of WGSL have the type of what they meet; floats have a point or an exponent", () => {
    expect(linesOf("webgpu")).toEqual([
      "const ROWS = 32;",
      "const SCALE = 1.0;",
      "const TINY = 1e-30;",
      "const LARGE = 1e30;",
      "const WHOLE = true;",
      "const EXPONENT = SCALE * LOG2_E;",
    ]);
  });

  test("of CUDA are typed", () => {
    expect(linesOf("cuda")).toEqual([
      "constexpr int ROWS = 32;",
      "constexpr float SCALE = 1.0f;",
      "constexpr float TINY = 1e-30f;",
      "constexpr float LARGE = 1e30f;",
      "constexpr bool WHOLE = true;",
      "constexpr float EXPONENT = SCALE * LOG2_E;",
    ]);
  });

  test("stand once, with one value and the comment that they were given first", () => {
    const constants = table();
    expect(constants.int("ROWS", 32)).toBe("ROWS");
    expect(constants.print(dialectOf("cuda"))[0]).toEqual({
      comment: "Rows of a tile.",
      declaration: "constexpr int ROWS = 32;",
    });
    expect(() => constants.int("ROWS", 64)).toThrow(RangeError);
  });
});
