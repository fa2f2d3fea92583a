import { expect, test } from "vitest";
import { OnnxGraph } from "../../compiler/bench/onnx/graph.ts";
import { integer, message, text } from "../../compiler/bench/onnx/wire.ts";

// Bytes as the protocol buffers' documentation gives them; whether ONNX Runtime reads whole models: test/bench-peers.

test("integers are written in base 128, lowest digits first", () => {
  expect([...integer(1, 150)]).toEqual([0x08, 0x96, 0x01]);
  expect([...integer(16, 0)]).toEqual([0x80, 0x01, 0x00]);
  expect([...integer(1, 2 ** 40)]).toEqual([0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]);
  expect(() => integer(1, -1)).toThrow(RangeError);
});

test("strings and messages are written after their lengths", () => {
  expect([...text(2, "testing")]).toEqual([0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
  expect([...message(3, [integer(1, 150)])]).toEqual([0x1a, 0x03, 0x08, 0x96, 0x01]);
});

test("a constant's values fill its shape", () => {
  expect(() => new OnnxGraph().constant([2, 3], [1, 2, 3])).toThrow("3 values for the shape [2,3]");
});
