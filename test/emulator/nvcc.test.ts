import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { encode } from "../../runtime/contract/rounding.ts";
import { type Counters, EmulatedDevice, type EmulatorOptions } from "../../runtime/emulator/index.ts";
import { faultOf } from "./harness.ts";

const SOURCE = fileURLToPath(new URL("./kernels/small.cu", import.meta.url));
const found = spawnSync("nvcc", ["--version"]).status === 0;
if (!found)
  console.warn(
    "nvcc is not on the path: the tests of real nvcc output are SKIPPED (test/emulator/nvcc.test.ts)",
  );

const folder = mkdtempSync(join(tmpdir(), "mtac-emulator-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const compiled = new Map<string, string>();

/** PTX of the small kernels, compiled once for each list of options. */
function ptx(architecture = "sm_80", ...options: readonly string[]): string {
  const key = [architecture, ...options].join(" ");
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const file = join(folder, `${compiled.size}.ptx`);
  const flags = ["-std=c++17", `-arch=${architecture}`, "-ptx", "-lineinfo", ...options, "-o", file, SOURCE];
  const { status, stderr } = spawnSync("nvcc", flags, { encoding: "utf8" });
  if (status !== 0) throw new Error(`nvcc failed: ${stderr}`);
  const text = readFileSync(file, "utf8");
  compiled.set(key, text);
  return text;
}

type Argument = Float32Array | Uint16Array | { readonly words: number } | { readonly bytes: Uint8Array };

interface Call {
  readonly kernel: string;
  readonly grid: [number, number, number];
  readonly block: number;
  readonly sharedBytes?: number;
  readonly options?: EmulatorOptions;
  readonly text?: string;
}

const int32 = (...values: number[]) => ({ bytes: new Uint8Array(Int32Array.from(values).buffer) });

/** Launches a kernel on typed arrays (copied in), scratch words (unwritten) and values; every buffer comes back. */
function run(call: Call, list: readonly Argument[]): { counters: Counters; buffers: Uint8Array[] } {
  const device = new EmulatedDevice(call.options);
  const kernel = device.load(call.text ?? ptx(), "small.cu").kernels.get(call.kernel);
  if (kernel === undefined) throw new Error(`${call.kernel} is missing`);
  const parameters = new Uint8Array(kernel.parameterBytes);
  const allocations = list.flatMap((argument, index) => {
    const { offset } = kernel.parameters[index] ?? { offset: 0 };
    if ("bytes" in argument) {
      parameters.set(argument.bytes, offset);
      return [];
    }
    const allocation = device.allocate(
      "words" in argument ? argument.words * 4 : argument.byteLength,
      `argument ${index}`,
    );
    if (!("words" in argument)) device.write(allocation.address, new Uint8Array(argument.buffer));
    new DataView(parameters.buffer).setBigUint64(offset, allocation.address, true);
    return [allocation];
  });
  const counters = device.launch(kernel, {
    grid: call.grid,
    block: [call.block, 1, 1],
    sharedBytes: call.sharedBytes ?? 0,
    parameters,
  });
  return { counters, buffers: allocations.map(({ address, bytes }) => device.read(address, bytes)) };
}

const floats = (bytes: Uint8Array | undefined) =>
  new Float32Array((bytes ?? new Uint8Array()).slice().buffer);

const N = 128;
const K = 96;
const small = (index: number, salt: number) => (((index * 37 + salt) % 31) - 15) / 16;
const A = Uint16Array.from({ length: N * K }, (_, index) => encode("f16", small(index, 3)));
const B = Uint16Array.from({ length: N * K }, (_, index) => encode("f16", small(index * 5, 8)));
const PRODUCT: Call = { kernel: "product", grid: [2, 2, 1], block: 128, sharedBytes: 4 * 64 * 80 };
const PRODUCT_LIST: readonly Argument[] = [A, B, { words: N * N }, int32(N), int32(K)];

describe.skipIf(!found)("what nvcc emits", () => {
  it.each(["sm_80", "sm_90", "sm_100"])("saxpy with a struct by value and constants, %s", (architecture) => {
    const x = Float32Array.from({ length: 100 }, (_, index) => index / 8);
    const y = Float32Array.from({ length: 100 }, (_, index) => index - 50);
    const scale = new DataView(new ArrayBuffer(8));
    scale.setFloat32(0, 1.5, true);
    scale.setInt32(4, 100, true);
    const call: Call = { kernel: "saxpy", grid: [2, 1, 1], block: 64, text: ptx(architecture) };
    const { buffers } = run(call, [{ bytes: new Uint8Array(scale.buffer) }, x, y]);
    expect(floats(buffers[1])).toEqual(
      y.map((value, index) => 1.5 * (x[index] ?? 0) + value * ((index & 3) + 1)),
    );
  });

  it("a block's sum through shuffles and shared memory", () => {
    const x = Float32Array.from({ length: 3 * 500 }, (_, index) => index % 11);
    const { buffers } = run({ kernel: "block_sum", grid: [3, 1, 1], block: 96 }, [
      x,
      { words: 3 },
      int32(500),
    ]);
    const sums = [0, 1, 2].map((block) =>
      x.slice(block * 500, block * 500 + 500).reduce((sum, value) => sum + value, 0),
    );
    expect([...floats(buffers[1])]).toEqual(sums);
  });

  it("lanes that loop their own number of times, with an array in local memory", () => {
    const { buffers } = run({ kernel: "collatz", grid: [2, 1, 1], block: 48 }, [{ words: 96 }]);
    const steps = (start: number) => {
      let count = 0;
      for (let n = start; n !== 1; count++) n = n % 2 ? 3 * n + 1 : n / 2;
      return count;
    };
    const found = new Uint32Array((buffers[0] ?? new Uint8Array()).slice().buffer);
    expect([...found]).toEqual(Array.from({ length: 96 }, (_, index) => steps(index + 1)));
  });

  it.each([[[]], [["-use_fast_math"]]])("the math library %j", (options) => {
    const x = Float32Array.from({ length: 64 }, (_, index) => 0.1 + index / 20);
    const call: Call = { kernel: "functions", grid: [1, 1, 1], block: 64, text: ptx("sm_80", ...options) };
    const { buffers } = run(call, [x, { words: 64 }, { words: 64 }]);
    const halves = new Uint16Array((buffers[2] ?? new Uint8Array()).slice().buffer);
    floats(buffers[1]).forEach((value, index) => {
      const v = x[index] ?? 0;
      const want = Math.exp(v) + Math.log(v) * Math.tanh(v) + v + v ** 1.3 + Math.sin(v) + 1 / v;
      expect(Math.abs(value - want)).toBeLessThan(1e-4 * want);
      expect(halves[2 * index]).toBe(encode("f16", 2 * half(v) + 0.5));
    });
  });

  it("a matrix product in every order of warps", () => {
    const { buffers: first, counters } = run(PRODUCT, PRODUCT_LIST);
    const c = floats(first[2]);
    for (let row = 0; row < N; row += 7) {
      for (let column = 0; column < N; column++) {
        let want = 0;
        for (let k = 0; k < K; k++) want += small(row * K + k, 3) * small((column * K + k) * 5, 8);
        expect(Math.abs((c[row * N + column] ?? 0) - want)).toBeLessThan(1e-5);
      }
    }
    expect(counters.mma).toEqual({ m16n8k16: (N * N * K) / (16 * 8 * 16) });
    expect(counters.tensorMultiplyAdds).toBe(N * N * K);
    expect(counters.ldmatrixConflicts).toBe(0);
    for (const options of [
      { warpOrder: "reverse" },
      { warpOrder: "greedy" },
      { checks: "bounds" },
    ] satisfies EmulatorOptions[]) {
      expect(run({ ...PRODUCT, options }, PRODUCT_LIST).buffers[2]).toEqual(first[2]);
    }
  });

  it("a missing __syncwarp is reported with the line of the read", () => {
    const numbers = Float32Array.from({ length: 64 }, (_, index) => index);
    const call: Call = { kernel: "turn_round", grid: [1, 1, 1], block: 64 };
    const { buffers } = run(call, [numbers, { words: 64 }]);
    expect(floats(buffers[1])).toEqual(Float32Array.from(numbers, (_, index) => index ^ 31));
    const text = ptx("sm_80", "-DPLANT_NO_SYNCWARP");
    const error = faultOf(() => run({ ...call, text }, [numbers, { words: 64 }]));
    expect(error.code).toBe("MTA855");
    expect(error.message).toMatch(
      /lane 0 of warp 0 reads .*, written by lane 31 of the same warp at \S*small\.cu:\d+/,
    );
    expect(error.file).toMatch(/small\.cu$/);
  });

  it.each([
    ["PLANT_NO_WAIT", ["MTA859"]],
    // The copy overtakes the reader, or the reader meets the pending copy: it depends on the order.
    ["PLANT_NO_BARRIER", ["MTA855", "MTA859"]],
  ])("a product with %s is reported", (plant, codes) => {
    for (const warpOrder of ["forward", "reverse", "greedy"] as const) {
      const error = faultOf(() =>
        run({ ...PRODUCT, text: ptx("sm_80", `-D${plant}`), options: { warpOrder } }, PRODUCT_LIST),
      );
      expect(codes, error.message).toContain(error.code);
      expect(error.file).toMatch(/small\.cu$/);
      expect(error.line).toBeGreaterThan(50);
    }
  });
});

/** Value of the f16 nearest to a number. */
function half(value: number): number {
  const bits = encode("f16", value);
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
}
