import { expect, it } from "vitest";
import {
  CUDA_EXPRESSIONS,
  HOST_EXPRESSIONS,
  printExpression,
  WGSL_EXPRESSIONS,
} from "../../compiler/emit/dialect/expression.ts";
import type { Expression } from "../../runtime/contract/index.ts";

const both: Expression = [
  "sub",
  ["select", "positions", ["max", 0, ["sub", "Lk", "a"], "b"], 1],
  ["mul", ["add", "a", -3], ["sub", 0, "b"]],
];

it("prints an expression in each dialect", () => {
  expect(printExpression(both, HOST_EXPRESSIONS)).toBe(
    "(positions != 0 ? std::max<long long>({0, Lk - a, b}) : 1) - (a - 3) * (-b)",
  );
  expect(printExpression(both, CUDA_EXPRESSIONS)).toBe(
    "(positions != 0 ? max(max(0, Lk - a), b) : 1) - (a - 3) * (-b)",
  );
  expect(printExpression(both, WGSL_EXPRESSIONS)).toBe(
    "select(1, max(max(0, Lk - a), b), positions != 0) - (a - 3) * (-b)",
  );
});

it("leaves a product on the right of a minus as it is, and puts a sum in parentheses", () => {
  expect(printExpression(["sub", "a", ["mul", "b", "c"]], CUDA_EXPRESSIONS)).toBe("a - b * c");
  expect(printExpression(["sub", "a", ["add", "b", "c"]], CUDA_EXPRESSIONS)).toBe("a - (b + c)");
  expect(printExpression(["sub", "a", -2], CUDA_EXPRESSIONS)).toBe("a + 2");
  expect(printExpression(["ceilDiv", ["floorDiv", "a", 4], 2], WGSL_EXPRESSIONS)).toBe(
    "ceil_div(floor_div(a, 4), 2)",
  );
});
