import { expect, test } from "vitest";
import { findTensorFault } from "../../runtime/contract/tensor-faults.ts";

const RULES = { storage: "f32", alignment: 1, written: true } as const;

test.each([
  { what: "with a place for each element", shape: [2, 3, 4], strides: [12, 4, 1], fault: null },
  { what: "whose rows share a place", shape: [2, 3, 4], strides: [12, 0, 1], fault: "strides" },
  {
    what: "without elements, such as rows of a history that is empty",
    shape: [2, 0, 4],
    strides: [0, 4, 1],
    fault: null,
  },
])("a result $what", ({ shape, strides, fault }) => {
  expect(findTensorFault("d_q", { shape, strides, storage: "f32" }, RULES)?.kind ?? null).toBe(fault);
});
