import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MtacError } from "../../runtime/contract/index.ts";
import {
  type ElementType,
  fromValues,
  parseSafetensors,
  type StoredTensor,
  toFloat64Tensor,
  toHostTensor,
  writeSafetensors,
} from "../../runtime/safetensors/index.ts";

function fileOf(header: string, data: Uint8Array | number = 0): Uint8Array {
  const text = new TextEncoder().encode(header);
  const body = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

const tensors = new Map<string, StoredTensor>([
  ["q", fromValues("F16", [2, 3], [1, -2, 0.5, 3, 4, 65504])],
  ["10", fromValues("F64", [1], [Math.PI])],
  ["2", fromValues("BF16", [3], [1, 2, -3])],
  ["documents", fromValues("I64", [2], [7, -1])],
  ["lengths", fromValues("I32", [], [5])],
  ["empty", fromValues("F32", [0, 4], [])],
]);

test("badly aligned tensors are copied, also out of a Node Buffer, whose slice() is a view", () => {
  const header = '{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  const data = new Uint8Array(Float32Array.of(1.5, -2).buffer);
  for (const padding of [0, 1, 2, 3]) {
    const bytes = Buffer.from(fileOf(header + " ".repeat(padding), data));
    expect(parseSafetensors(bytes, "x.safetensors").get("x")?.data).toEqual(Float32Array.of(1.5, -2));
  }
});

test("what is written is read again", () => {
  const read = parseSafetensors(writeSafetensors(tensors), "x.safetensors");
  expect(read.size).toBe(tensors.size);
  for (const [name, tensor] of tensors) {
    expect({
      dtype: read.get(name)?.dtype,
      shape: read.get(name)?.shape,
      data: read.get(name)?.data,
    }).toEqual(tensor);
  }
});

test("the bytes depend on the tensors alone, and the data is aligned", () => {
  const bytes = writeSafetensors(tensors);
  expect(writeSafetensors(new Map([...tensors].reverse()))).toEqual(bytes);
  expect(new DataView(bytes.buffer).getBigUint64(0, true) % 8n).toBe(0n);
  for (const view of parseSafetensors(bytes, "x").values()) {
    expect(view.data.byteOffset % view.data.BYTES_PER_ELEMENT).toBe(0);
  }
});

test("values convert to what the runtime works with", () => {
  const read = (name: string): StoredTensor => tensors.get(name) ?? fromValues("F32", [], []);
  expect(toHostTensor("q", read("q"))).toMatchObject({
    storage: "f16",
    data: Float32Array.of(1, -2, 0.5, 3, 4, 65504),
  });
  expect(toHostTensor("documents", read("documents"))).toMatchObject({
    storage: "i64",
    data: Int32Array.of(7, -1),
  });
  expect(toFloat64Tensor("2", read("2")).data).toEqual(Float64Array.of(1, 2, -3));
  expect(toFloat64Tensor("10", read("10")).data[0]).toBe(Math.PI);
});

test("an ArrayBuffer is read as its bytes, and what holds none is refused", () => {
  const bytes = Uint8Array.from(writeSafetensors(new Map([["a", fromValues("F32", [2], [1, 2])]])));
  expect([...(parseSafetensors(bytes.buffer, "page").get("a")?.data ?? [])]).toEqual([1, 2]);
  for (const given of [undefined, null, "text", {}, [1, 2], bytes.buffer.byteLength])
    expect(() => Reflect.apply(parseSafetensors, undefined, [given, "page"])).toThrow(
      expect.objectContaining({ code: "MTA651", message: expect.stringContaining("not a Uint8Array") }),
    );
});

test("badly aligned files are read too", () => {
  const bytes = fileOf(
    '{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}',
    new Uint8Array(Float64Array.of(2.5).buffer),
  );
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  expect(parseSafetensors(shifted.subarray(3), "x").get("x")?.data).toEqual(Float64Array.of(2.5));
});

test("metadata is allowed and ignored", () => {
  expect(parseSafetensors(fileOf('{"__metadata__":{"format":"pt"}}'), "x").size).toBe(0);
});

const entry = (
  name: string,
  begin: number,
  end: number,
  dtype = "F32",
  shape: unknown = [(end - begin) / 4],
): string => `"${name}":${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;

const longHeader = new Uint8Array(16).fill(255);

const damaged: readonly (readonly [string, string, Uint8Array])[] = [
  ["MTA651", "x.safetensors: 3 bytes are too few", new Uint8Array(3)],
  ["MTA651", "it ends inside the header", fileOf("{}").subarray(0, 9)],
  ["MTA652", "its header would take 18446744073709551615 bytes", longHeader],
  ["MTA653", "the header is not JSON", fileOf('{"a":')],
  ["MTA653", "the header is not a JSON object", fileOf("[]")],
  ["MTA653", "the header is not UTF-8", fileOf("{}").map((byte, index) => (index === 9 ? 0xff : byte))],
  ["MTA654", "__metadata__ is not an object of strings", fileOf('{"__metadata__":{"a":1}}')],
  ["MTA654", "the tensor a is not described by an object", fileOf('{"a":1}')],
  ["MTA654", "the tensor a has no dtype", fileOf('{"a":{"shape":[],"data_offsets":[0,4]}}', 4)],
  ["MTA654", "the tensor a has no shape of whole numbers", fileOf(`{${entry("a", 0, 4, "F32", [-1])}}`, 4)],
  [
    "MTA654",
    "the tensor a has no two data_offsets",
    fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4),
  ],
  ["MTA654", "data_offsets that are not whole numbers", fileOf(`{${entry("a", -4, 0)}}`, 4)],
  ["MTA655", "the tensor a is of type F8_E4M3", fileOf(`{${entry("a", 0, 1, "F8_E4M3", [1])}}`, 1)],
  [
    "MTA656",
    "the tensor a lies at bytes 0 to 8, but the file holds 4 bytes",
    fileOf(`{${entry("a", 0, 8)}}`, 4),
  ],
  ["MTA656", "the tensor a lies at bytes 4 to 0", fileOf(`{${entry("a", 4, 0, "F32", [1])}}`, 4)],
  ["MTA657", "the tensor b overlaps", fileOf(`{${entry("a", 0, 8)},${entry("b", 4, 12)}}`, 12)],
  [
    "MTA657",
    "bytes 4 to 8 of the data belong to no tensor",
    fileOf(`{${entry("a", 0, 4)},${entry("b", 8, 12)}}`, 12),
  ],
  ["MTA657", "bytes 4 to 6 of the data belong to no tensor", fileOf(`{${entry("a", 0, 4)}}`, 6)],
  ["MTA658", "shape [3] takes 12 bytes, not 8", fileOf(`{${entry("a", 0, 8, "F32", [3])}}`, 8)],
  ["MTA658", "bytes, not 8", fileOf(`{${entry("a", 0, 8, "F32", [2 ** 50, 2 ** 50])}}`, 8)],
  ["MTA654", "has 65 axes (at most 64)", fileOf(`{${entry("a", 0, 4, "F32", new Array(65).fill(1))}}`, 4)],
  ["MTA654", "has a dtype of 1000 characters", fileOf(`{${entry("a", 0, 4, "F".repeat(1000))}}`, 4)],
  ["MTA665", "has a name of 8000000 characters", fileOf(`{${entry("a".repeat(8e6), 0, 4)}}`, 4)],
  ["MTA654", "the tensor a is not described by", fileOf(`{"a":${"[".repeat(2e6)}${"]".repeat(2e6)}}`)],
  [
    "MTA659",
    "the header lists a twice",
    fileOf(`{${entry("a", 0, 4)},"\\u0061" :{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
  ],
];

function errorOf(run: () => unknown): MtacError {
  try {
    run();
  } catch (error) {
    if (error instanceof MtacError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test.each(damaged)("%s: %s", (code, message, bytes) => {
  const error = errorOf(() => parseSafetensors(bytes, "x.safetensors"));
  expect(error.code).toBe(code);
  expect(error.message).toContain(message);
  expect(error.message).toContain("x.safetensors: ");
});

// A regular expression ran out of stack on the first ones.
test.each([
  ["a long text", `"text":"${"x".repeat(4e7)}"`],
  ["a long text with escapes", `"text":"${'x\\n\\"'.repeat(6e6)}"`],
  ["many texts", Array.from({ length: 200_000 }, (_, index) => `"k${index}":"v"`).join(",")],
])("metadata may hold %s, and names after it are still told apart", (_, metadata) => {
  const header = (names: readonly string[]): string =>
    `{"__metadata__":{${metadata}},${names.map((name, index) => entry(name, index * 4, index * 4 + 4)).join(",")}}`;
  expect([...parseSafetensors(fileOf(header(["a", "b"]), 8), "x").keys()]).toEqual(["a", "b"]);
  expect(errorOf(() => parseSafetensors(fileOf(header(["a", "a"]), 8), "x")).code).toBe("MTA659");
});

test("a file may hold hundreds of thousands of tensors", () => {
  const names = Array.from({ length: 200_000 }, (_, index) => entry(`layers.${index}.weight`, 0, 0));
  expect(parseSafetensors(fileOf(`{${names.join(",")}}`), "x").size).toBe(200_000);
});

test("tensors of types that mtac does not read are set aside where that is asked for", () => {
  const bytes = fileOf(`{${entry("a", 0, 4)},${entry("b", 4, 6, "F8_E4M3", [2])}}`, 6);
  const foreign = new Map<string, string>();
  expect([...parseSafetensors(bytes, "x", { foreign }).keys()]).toEqual(["a"]);
  expect([...foreign]).toEqual([["b", "F8_E4M3"]]);
});

test("integers beyond 32 bits are refused, not cut", () => {
  const tensor: StoredTensor = { dtype: "I64", shape: [1], data: BigInt64Array.of(2n ** 31n) };
  expect(errorOf(() => toHostTensor("documents", tensor)).code).toBe("MTA660");
});

test("data that does not fit its shape or type is not written", () => {
  for (const tensor of [
    { dtype: "F32", shape: [2], data: Float32Array.of(1) },
    { dtype: "F16", shape: [1], data: Float32Array.of(1) },
  ] as const) {
    expect(errorOf(() => writeSafetensors(new Map([["x", tensor]]))).code).toBe("MTA661");
  }
});

/** Nothing but an MtacError ever comes out of the parser. */
function survives(bytes: Uint8Array): void {
  try {
    for (const view of parseSafetensors(bytes, "fuzz").values())
      expect(view.data.length).toBeGreaterThanOrEqual(0);
  } catch (error) {
    if (!(error instanceof MtacError)) throw error;
  }
}

test("random bytes never crash the reader", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 500 });
});

test("random headers never crash the reader", () => {
  const type: fc.Arbitrary<ElementType | string> = fc.constantFrom(
    "F64",
    "F32",
    "F16",
    "BF16",
    "I32",
    "I64",
    "U8",
    "toString",
  );
  const whole = fc.oneof(fc.nat(16), fc.constantFrom(-1, 0.5, 2 ** 53, 1e300));
  const tensor = fc.oneof(
    fc.record({
      dtype: type,
      shape: fc.array(whole, { maxLength: 3 }),
      data_offsets: fc.array(whole, { maxLength: 3 }),
    }),
    fc.jsonValue(),
  );
  const name = fc.oneof(fc.string(), fc.constantFrom("__proto__", "__metadata__", "constructor"));
  const header = fc.dictionary(name, tensor).map((object) => JSON.stringify(object));
  fc.assert(
    fc.property(header, fc.nat(64), (text, bytes) => survives(fileOf(text, bytes))),
    { numRuns: 500 },
  );
});

test("a good file with a few bytes changed never crashes the reader", () => {
  const bytes = writeSafetensors(tensors);
  const change = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(change, fc.nat(bytes.length), (changes, length) => {
      const copy = bytes.slice(0, length);
      for (const [index, byte] of changes) if (index < length) copy[index] = byte;
      survives(copy);
    }),
    { numRuns: 500 },
  );
});

test("random tensors survive the round trip", () => {
  const tensor = fc
    .record({
      dtype: fc.constantFrom<ElementType>("F64", "F32", "F16", "BF16", "I32", "I64"),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
    })
    .map(({ dtype, shape }) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return fromValues(
        dtype,
        shape,
        Array.from({ length: count }, (_, index) => index - 3),
      );
    });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), tensor)), (pairs) => {
      const written = new Map(pairs.filter(([name]) => name !== "__metadata__"));
      const read = parseSafetensors(writeSafetensors(written), "round trip");
      expect(
        new Map([...read].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }])),
      ).toEqual(written);
    }),
  );
});

test("headers of megabytes are read, whatever their strings hold", () => {
  const tensor = { dtype: "F32", shape: [0], data_offsets: [0, 0] };
  for (const text of ["y".repeat(30_000_000), '\\"{['.repeat(4_000_000), "\\\\".repeat(4_000_000)]) {
    const header = `{"__metadata__":${JSON.stringify({ text })}, "a" \n : ${JSON.stringify(tensor)}}`;
    expect([...parseSafetensors(fileOf(header), "large").keys()]).toEqual(["a"]);
  }
});

test("what a file calls twice is found behind a long string, and when it is spelled otherwise", () => {
  const tensor = JSON.stringify({ dtype: "F32", shape: [0], data_offsets: [0, 0] });
  const header = `{"a":${tensor},"__metadata__":${JSON.stringify({ text: "\\".repeat(9) })},"\\u0061" :${tensor}}`;
  expect(() => parseSafetensors(fileOf(header), "twice")).toThrow(
    expect.objectContaining({ code: "MTA659" }),
  );
});
