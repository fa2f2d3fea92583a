import { expect, test } from "vitest";
import { parseVariable } from "../../runtime/emulator/ptx/variable.ts";

test.each([
  [".u64 first", 8, 8],
  [".align 4 .b8 launch[108]", 4, 108],
  // nvcc writes these from sm_100 on.
  [".u64 .ptr .align 1 first", 8, 8],
  [".u64 .ptr .global .align 16 first", 8, 8],
  [".u64 .ptr first", 8, 8],
])("a parameter `.param %s` lies at multiples of %i", (text, align, bytes) => {
  expect(parseVariable("param", text, 1)).toMatchObject([{ align, bytes, initial: null }]);
});
