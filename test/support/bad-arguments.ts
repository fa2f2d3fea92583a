/** Calls a function with arguments that its types forbid, as a program without types may. */
export async function attempt(
  call: (...args: never[]) => unknown,
  ...args: readonly unknown[]
): Promise<unknown> {
  return Reflect.apply(call, undefined, args);
}

const data = new Float32Array(6);

/** Arguments of `upload` after the device, and what refuses them: for WebGPU; CUDA has MTA8… where this has MTA7…. */
export const BAD_UPLOADS: readonly [string, string, readonly unknown[]][] = [
  ["no tensor", "MTA728", [null, "f32"]],
  ["a bare array", "MTA728", [data, "f32"]],
  ["no data", "MTA728", [{ shape: [6], data: null }, "f32"]],
  ["bytes", "MTA728", [{ shape: [6], data: new Uint8Array(6) }, "f32"]],
  ["bits as f32", "MTA728", [{ shape: [6], data: new Uint16Array(6) }, "f32"]],
  ["64-bit integers", "MTA728", [{ shape: [6], data: new BigInt64Array(6) }, "i32"]],
  ["an unknown storage", "MTA617", [{ shape: [6], data }, "float16"]],
  ["no storage", "MTA617", [{ shape: [6], data }]],
  ["a property of objects as storage", "MTA617", [{ shape: [6], data }, "constructor"]],
  ["no shape", "MTA616", [{ shape: null, data }, "f32"]],
  ["a negative size", "MTA616", [{ shape: [-2, -3], data }, "f32"]],
  ["a fractional size", "MTA616", [{ shape: [1.5, 4], data }, "f32"]],
  ["a negative stride", "MTA616", [{ shape: [6], data }, "f32", [-1]]],
  ["too few strides", "MTA616", [{ shape: [2, 3], data }, "f32", [1]]],
];

/** Arguments of `prepare`. */
export const BAD_SIZES: readonly [string, string, unknown][] = [
  ["nothing", "MTA604", undefined],
  ["null", "MTA604", null],
  ["a negative size", "MTA604", { B: 1, Lq: -4, Lk: 4 }],
  ["a fractional size", "MTA604", { B: 1, Lq: 4, Lk: 4.5 }],
  ["2^31 rows", "MTA615", { B: 1, Lq: 2 ** 31, Lk: 2 ** 31 }],
  ["2^31 keys", "MTA615", { B: 1, Lq: 1, Lk: 2 ** 31 }],
  ["2^32 + 1 batch entries", "MTA615", { B: 2 ** 32 + 1, Lq: 1, Lk: 1 }],
];

/** What a call may be given instead of its inputs, made from good ones. */
export const BAD_INPUTS: readonly [string, string, (good: object & { readonly q: unknown }) => unknown][] = [
  ["nothing", "MTA614", () => undefined],
  ["null", "MTA614", () => null],
  ["no inputs", "MTA601", () => ({})],
  ["no q", "MTA601", (good) => ({ ...good, q: undefined })],
  ["null for q", "MTA614", (good) => ({ ...good, q: null })],
  ["null for an optional input", "MTA614", (good) => ({ ...good, qHistory: null })],
  ["an array on the host", "MTA614", (good) => ({ ...good, q: data })],
  ["a tensor on the host", "MTA614", (good) => ({ ...good, q: { shape: [1, 2, 4, 4], data } })],
  ["a number", "MTA614", (good) => ({ ...good, k: 3 })],
  [
    "a tensor without strides",
    "MTA614",
    (good) => ({ ...good, q: { ...Object(good.q), strides: undefined } }),
  ],
  [
    "a size that is a bigint",
    "MTA614",
    (good) => ({ ...good, q: { ...Object(good.q), shape: [1, 2, 4n, 4] } }),
  ],
  [
    "a size that is a symbol",
    "MTA614",
    (good) => ({ ...good, q: { ...Object(good.q), shape: [1, 2, 4, Symbol()] } }),
  ],
  [
    "a stride that is no number",
    "MTA614",
    (good) => ({ ...good, q: { ...Object(good.q), strides: [32, 16, {}, 1] } }),
  ],
];

/** What `download` may be given instead of a tensor, made from a good one. */
export const BAD_DOWNLOADS: readonly [string, string, (good: object) => unknown][] = [
  ["nothing", "MTA614", () => undefined],
  ["null", "MTA614", () => null],
  ["a number", "MTA614", () => 3],
  ["a tensor on the host", "MTA614", () => ({ shape: [6], data })],
  ["a tensor without memory", "MTA614", (good) => ({ ...good, buffer: null, address: null, memory: null })],
  ["a tensor without strides", "MTA614", (good) => ({ ...good, strides: undefined })],
  ["a tensor without a shape", "MTA614", (good) => ({ ...good, shape: 6 })],
  ["a negative size", "MTA616", (good) => ({ ...good, shape: [-6] })],
  ["too few strides", "MTA616", (good) => ({ ...good, strides: [] })],
  ["an unknown storage", "MTA617", (good) => ({ ...good, storage: "float32" })],
];

/** What a launcher may be made of instead of an artifact; CUDA has MTA811 where WebGPU has MTA711. */
export const BAD_ARTIFACTS: readonly [string, unknown][] = [
  ["nothing", undefined],
  ["null", null],
  ["an empty list", []],
  ["a spec's text", "attention a { heads 2 head_dim 4 }"],
  ["no plans", { name: "a", sources: {}, plans: null }],
];

export const BAD_PARAMETERS: readonly [string, unknown][] = [
  ["null", null],
  ["an object", { "output.norm.weight": data }],
  ["a Map of null", new Map([["output.norm.weight", null]])],
  ["a Map of plain arrays", new Map([["output.norm.weight", [1, 2, 3, 4]]])],
  ["a Map of bits", new Map([["output.norm.weight", new Uint16Array(4)]])],
  ["a Map of tensors of bits", new Map([["output.norm.weight", { shape: [4], data: new Uint16Array(4) }]])],
  ["a Map of 64-bit integers", new Map([["output.norm.weight", new BigInt64Array(4)]])],
  ["a Map whose keys are no names", new Map([[null, new Float32Array(4)]])],
  [
    "a Map with a size that is none",
    new Map([["output.norm.weight", { shape: [4n], data: new Float32Array(4) }]]),
  ],
  ["a Map of tensors without data", new Map([["output.norm.weight", { shape: [4], data: null }]])],
];
