import { describe, expect, it } from "vitest";
import { add, decode, encode, FORMATS, type Format, random64 } from "./exact.ts";
import { kernel, launch, wordsOf } from "./harness.ts";

const SHARED = ".extern .shared .align 16 .b8 smem[];\n";

type Operation = (old: bigint, b: bigint, c: bigint) => bigint;

const signed = (bits: number, x: bigint) => BigInt.asIntN(bits, x);
const least = (x: bigint, y: bigint) => (x < y ? x : y);
const most = (x: bigint, y: bigint) => (x > y ? x : y);

/** Sum of floating-point bits; NaN where an operand is none of the finite numbers. */
function sum(format: Format, x: bigint, y: bigint): bigint {
  const [a, b] = [decode(x, format), decode(y, format)];
  if (a === null || b === null) throw new Error("the test's operands are finite");
  const negative = (word: bigint) => word >> BigInt(format.bits - 1) === 1n;
  return encode(add(a, b), format, negative(x) && negative(y));
}

const halves =
  (format: Format): Operation =>
  (old, b) =>
    sum(format, old & 0xffffn, b & 0xffffn) | (sum(format, old >> 16n, b >> 16n) << 16n);

/** Expected new values: by the text of the PTX ISA, on unsigned numbers of the width. */
const TABLE: readonly [name: string, bits: 32 | 64, Operation][] = [
  ["add.u32", 32, (old, b) => old + b],
  ["add.s32", 32, (old, b) => old + b],
  ["add.u64", 64, (old, b) => old + b],
  ["min.u32", 32, least],
  ["max.u32", 32, most],
  ["min.s32", 32, (old, b) => least(signed(32, old), signed(32, b))],
  ["max.s32", 32, (old, b) => most(signed(32, old), signed(32, b))],
  ["min.u64", 64, least],
  ["max.u64", 64, most],
  ["min.s64", 64, (old, b) => least(signed(64, old), signed(64, b))],
  ["max.s64", 64, (old, b) => most(signed(64, old), signed(64, b))],
  ["and.b32", 32, (old, b) => old & b],
  ["or.b32", 32, (old, b) => old | b],
  ["xor.b32", 32, (old, b) => old ^ b],
  ["and.b64", 64, (old, b) => old & b],
  ["or.b64", 64, (old, b) => old | b],
  ["xor.b64", 64, (old, b) => old ^ b],
  ["exch.b32", 32, (_, b) => b],
  ["exch.b64", 64, (_, b) => b],
  ["cas.b32", 32, (old, b, c) => (old === b ? c : old)],
  ["cas.b64", 64, (old, b, c) => (old === b ? c : old)],
  ["inc.u32", 32, (old, b) => (old >= b ? 0n : old + 1n)],
  ["dec.u32", 32, (old, b) => (old === 0n || old > b ? b : old - 1n)],
  ["add.f64", 64, (old, b) => sum(FORMATS.f64, old, b)],
  ["add.f32", 32, (old, b) => sum(FORMATS.f32, old, b)],
  ["add.noftz.f16x2", 32, halves(FORMATS.f16)],
  ["add.noftz.bf16x2", 32, halves(FORMATS.bf16)],
];

/** Bits of a finite number whose exponent lies near the middle, so that sums round rather than vanish. */
function finite(word: bigint, { bits, fraction }: Format): bigint {
  const exponentBits = bits - fraction - 1;
  const middle = (1n << BigInt(exponentBits - 1)) - 8n + ((word >> BigInt(fraction)) & 15n);
  const rest = word & ((1n << BigInt(fraction)) - 1n);
  return ((word >> 63n) << BigInt(bits - 1)) | (middle << BigInt(fraction)) | rest;
}

function operands(name: string, bits: number): { old: bigint[]; b: bigint[]; c: bigint[] } {
  const next = random64(name.length + bits);
  const top = 1n << BigInt(bits - 1);
  const edges = [0n, 1n, top - 1n, top, top + 1n, 2n * top - 1n];
  const type = name.slice(name.lastIndexOf(".") + 1);
  const word = (index: number): bigint => {
    const value = next();
    if (type === "f16x2" || type === "bf16x2") {
      const format = type === "f16x2" ? FORMATS.f16 : FORMATS.bf16;
      return finite(value, format) | (finite(next(), format) << 16n);
    }
    if (type === "f32" || type === "f64") return finite(value, FORMATS[type]);
    return index < 36 ? (edges[index % 6] ?? 0n) : BigInt.asUintN(bits, value);
  };
  const lanes = Array.from({ length: 32 }, (_, lane) => lane);
  // Each edge with each other one over the first lanes, equal pairs among them; random numbers behind them.
  const old = lanes.map((lane) => word(lane < 24 ? lane : 99));
  const b = lanes.map((lane) => word(lane < 24 ? lane + Math.floor(lane / 6) : 99));
  return { old, b, c: lanes.map(() => BigInt.asUintN(bits, next())) };
}

function wordsFor(values: readonly bigint[], bits: number): Uint32Array {
  if (bits === 32) return Uint32Array.from(values, Number);
  return new Uint32Array(BigUint64Array.from(values).buffer);
}

/** Each lane updates its own word once, in global or shared memory; its old value and what stays. */
function update(
  space: string,
  name: string,
  bits: 32 | 64,
  values: ReturnType<typeof operands>,
  red = false,
) {
  const size = bits / 8;
  const r = bits === 32 ? "%r" : "%rd";
  const target = space === "global" ? "%rd10" : "%r10";
  const last = name.startsWith("cas") ? `, ${r}22` : "";
  const text = kernel(
    `
  mov.u32 %r1, %tid.x;
  mul.lo.s32 %r2, %r1, ${size};
  mov.u32 %r10, smem;
  add.s32 %r10, %r10, %r2;
  cvt.u64.u32 %rd1, %r2;
${[0, 1, 2, 3].map((p) => `  ld.param.u64 %rd${10 + p}, [p${p}];\n  add.s64 %rd${10 + p}, %rd${10 + p}, %rd1;`).join("\n")}
  ld.global.b${bits} ${r}20, [%rd10];
  ld.global.b${bits} ${r}21, [%rd11];
  ld.global.b${bits} ${r}22, [%rd12];
  st.shared.b${bits} [%r10], ${r}20;
  mov.b${bits} ${r}23, 0;
  ${red ? `red.${space}.${name} [${target}], ${r}21;` : `atom.${space}.${name} ${r}23, [${target}], ${r}21${last};`}
  st.global.b${bits} [%rd13], ${r}23;
  ${space === "shared" ? `ld.shared.b${bits} ${r}20, [%r10];\n  st.global.b${bits} [%rd10], ${r}20;` : ""}`,
    4,
    SHARED,
  );
  const { outputs } = launch(
    text,
    [wordsFor(values.old, bits), wordsFor(values.b, bits), wordsFor(values.c, bits), (32 * bits) / 32],
    { sharedBytes: 256 },
  );
  return { now: wordsOf(outputs[0]), old: wordsOf(outputs[3]) };
}

describe("atomics against big integers", () => {
  it.each(TABLE)("%s", (name, bits, operation) => {
    const values = operands(name, bits);
    const want = values.old.map((old, lane) =>
      BigInt.asUintN(bits, operation(old, values.b[lane] ?? 0n, values.c[lane] ?? 0n)),
    );
    for (const space of ["global", "shared"]) {
      const found = update(space, name, bits, values);
      expect(found.now).toEqual(wordsFor(want, bits));
      expect(found.old).toEqual(wordsFor(values.old, bits));
      if (/^(?:exch|cas)/.test(name)) continue;
      expect(update(space, name, bits, values, true).now).toEqual(wordsFor(want, bits));
    }
  });

  it("f32 sums flush subnormals in global memory, not in shared memory", () => {
    // 2^-140 + 2^-141; 2^-126 - 1.5 · 2^-127; -2^-140 + -0; 1 + 2^-140.
    const old = [0x00000200n, 0x00800000n, 0x80000200n, 0x3f800000n];
    const b = [0x00000100n, 0x80600000n, 0x80000000n, 0x00000200n];
    const fill = (list: bigint[]) => Array.from({ length: 32 }, (_, lane) => list[lane % 4] ?? 0n);
    const values = { old: fill(old), b: fill(b), c: fill(old) };
    expect([...update("shared", "add.f32", 32, values).now].slice(0, 4)).toEqual([
      0x00000300, 0x00200000, 0x80000200, 0x3f800000,
    ]);
    expect([...update("global", "add.f32", 32, values).now].slice(0, 4)).toEqual([
      0, 0x00800000, 0x80000000, 0x3f800000,
    ]);
  });

  it("lanes of one address update it one after the other", () => {
    const body = (instruction: string) => `
  mov.u32 %r1, %tid.x;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd2, %rd2, %rd3;
  ${instruction}
  st.global.u32 [%rd2], %r5;`;
    const run = (instruction: string, first: number) => {
      const { outputs } = launch(kernel(body(instruction)), [Uint32Array.of(first), 64], { block: 64 });
      return { now: wordsOf(outputs[0])[0], old: [...wordsOf(outputs[1])].sort((x, y) => x - y) };
    };
    const upTo = (count: number, start = 0) => Array.from({ length: count }, (_, index) => start + index);
    expect(run("atom.global.add.u32 %r5, [%rd1], 1;", 5)).toEqual({ now: 69, old: upTo(64, 5) });
    // A ring of 10 numbers: 64 = 6 · 10 + 4.
    const ring = run("atom.global.inc.u32 %r5, [%rd1], 9;", 0);
    expect(ring.now).toBe(4);
    expect(ring.old.filter((value) => value === 3)).toHaveLength(7);
    // A chain: each lane takes what the one before left.
    const chain = run("atom.global.exch.b32 %r5, [%rd1], %r1;", 77);
    expect([...chain.old, chain.now].sort((x = 0, y = 0) => x - y)).toEqual([...upTo(64), 77]);
    // Only one lane finds what it looks for.
    expect(run("atom.global.cas.b32 %r5, [%rd1], 3, 4;", 3)).toEqual({
      now: 4,
      old: [3, ...Array.from({ length: 63 }, () => 4)],
    });
  });
});

describe("bar.red", () => {
  /** 96 threads, of which the last 5 may have exited; each gives a predicate and stores what it gets. */
  function reduce(instruction: string, threads: readonly number[], exits = false, block = 96): Uint32Array {
    const text = kernel(
      `
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  add.s64 %rd1, %rd1, %rd3;
  add.s64 %rd2, %rd2, %rd3;
  ${exits ? "setp.ge.u32 %p9, %r1, 91;\n  @%p9 exit;" : ""}
  ld.global.u32 %r2, [%rd1];
  mov.u32 %r3, 7;
  setp.ne.u32 %p1, %r2, 0;
  ${instruction}
  st.global.u32 [%rd2], %r3;`,
      2,
    );
    const input = Uint32Array.from({ length: block }, (_, thread) => (threads.includes(thread) ? 1 : 0));
    return wordsOf(launch(text, [input, new Uint32Array(block).fill(99)], { block }).outputs[1]);
  }

  const everyone = Array.from({ length: 96 }, (_, thread) => thread);
  const POPC = "bar.red.popc.u32 %r3, 0, %p1;";
  const pick = "\n  selp.u32 %r3, 1, 0, %p2;";
  const AND = `bar.red.and.pred %p2, 0, %p1;${pick}`;
  const OR = `barrier.cta.red.or.aligned.pred %p2, 0, %p1;${pick}`;

  it.each([
    [POPC, [], 0],
    [POPC, [0, 33, 95], 3],
    [POPC.replace("%p1", "!%p1"), [0, 33, 95], 93],
    [POPC, everyone, 96],
    [POPC.replace("0,", "2, 96,"), [5, 64], 2],
    [AND, everyone, 1],
    [AND, everyone.slice(1), 0],
    [AND, [], 0],
    [AND.replace("%p1", "!%p1"), [], 1],
    [AND.replace("0,", "3, 96,"), everyone, 1],
    [OR, [], 0],
    [OR, [95], 1],
    [OR.replace("%p1", "!%p1"), everyone, 0],
  ])("%s", (instruction, threads, want) => {
    expect(reduce(instruction, threads)).toEqual(new Uint32Array(96).fill(want));
  });

  it("threads that exited neither count nor are missed", () => {
    const want = (value: number) => Uint32Array.from(everyone, (thread) => (thread < 91 ? value : 99));
    expect(reduce(POPC, everyone, true)).toEqual(want(91));
    expect(reduce(AND, everyone, true)).toEqual(want(1));
    expect(reduce(AND.replace("0,", "1, 96,"), everyone, true)).toEqual(want(1));
    expect(reduce(OR, [93], true)).toEqual(want(0));
  });

  it("one after the other, with predicates that change between", () => {
    const twice = `bar.red.popc.u32 %r3, 0, %p1;
  setp.eq.u32 %p3, %r1, %r3;
  bar.red.or.pred %p2, 0, %p3;
  @!%p2 mov.u32 %r3, 1000;
  bar.red.popc.u32 %r4, 1, %p3;
  add.s32 %r3, %r3, %r4;`;
    expect(reduce(twice, [1, 2, 3])).toEqual(new Uint32Array(96).fill(4));
    expect(reduce(twice, everyone)).toEqual(new Uint32Array(96).fill(1000));
  });
});
