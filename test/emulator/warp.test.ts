import { describe, expect, it } from "vitest";
import { encode } from "../../runtime/contract/rounding.ts";
import { f32Value, f32Word, kernel, lanes, launch, randomWords, wordsOf } from "./harness.ts";

const A = randomWords(9);
const all = (compute: (lane: number) => number) =>
  Uint32Array.from({ length: 32 }, (_, lane) => compute(lane));

describe("shuffles, votes, reductions", () => {
  it("shfl in its four modes", () => {
    const [idx, up, down, bfly] = lanes(
      `mov.u32 %r9, 5;
shfl.sync.idx.b32 %d0, %a0, %r9, 31, -1;
shfl.sync.up.b32 %d1, %a0, 3, 0, -1;
shfl.sync.down.b32 %d2|%p1, %a0, 4, 31, -1;
@!%p1 mov.u32 %d2, 77;
shfl.sync.bfly.b32 %d3, %a0, 2, 31, -1;`,
      [A],
      4,
    );
    expect(idx).toEqual(all(() => A[5] ?? 0));
    expect(up).toEqual(all((lane) => A[lane < 3 ? lane : lane - 3] ?? 0));
    expect(down).toEqual(all((lane) => (lane + 4 > 31 ? 77 : (A[lane + 4] ?? 0))));
    expect(bfly).toEqual(all((lane) => A[lane ^ 2] ?? 0));
  });

  it("shfl in segments of 8 lanes", () => {
    const [down, idx] = lanes(
      "shfl.sync.down.b32 %d0, %a0, 1, 0x181f, -1;\nshfl.sync.idx.b32 %d1, %a0, 2, 0x181f, -1;",
      [A],
      2,
    );
    expect(down).toEqual(all((lane) => A[lane % 8 === 7 ? lane : lane + 1] ?? 0));
    expect(idx).toEqual(all((lane) => A[(lane & 24) + 2] ?? 0));
  });

  it("votes, active masks, redux and match", () => {
    const [ballot, any, everyone, active, sum, same] = lanes(
      `setp.lt.u32 %p1, %lane, 7;
vote.sync.ballot.b32 %d0, %p1, -1;
vote.sync.any.pred %p2, %p1, -1;
selp.b32 %d1, 1, 0, %p2;
vote.sync.all.pred %p3, %p1, -1;
selp.b32 %d2, 1, 0, %p3;
mov.u32 %d3, 0;
@%p1 activemask.b32 %d3;
redux.sync.max.u32 %d4, %a0, -1;
and.b32 %r1, %lane, 3;
match.any.sync.b32 %d5, %r1, -1;`,
      [A],
      6,
    );
    expect(ballot?.[3]).toBe(127);
    expect([any?.[0], everyone?.[0]]).toEqual([1, 0]);
    expect(active).toEqual(all((lane) => (lane < 7 ? 127 : 0)));
    expect(sum?.[9]).toBe(Math.max(...A));
    expect(same?.[1]).toBe(0x22222222);
  });

  it("diverged lanes loop their own number of times and meet again", () => {
    const [found] = lanes(
      `mov.u32 %r1, 0;
mov.u32 %r2, %lane;
LOOP:
setp.eq.u32 %p1, %r2, 0;
@%p1 bra END;
add.s32 %r1, %r1, %r2;
sub.s32 %r2, %r2, 1;
bra LOOP;
END:
shfl.sync.bfly.b32 %d0, %r1, 1, 31, -1;`,
      [A],
      1,
    );
    expect(found).toEqual(all((lane) => ((lane ^ 1) * ((lane ^ 1) + 1)) / 2));
  });

  it("a table of branches", () => {
    const [found] = lanes(
      `and.b32 %r1, %lane, 3;
T: .branchtargets A0, A1, A2, A3;
brx.idx %r1, T;
A0: mov.u32 %d0, 10; bra.uni E;
A1: mov.u32 %d0, 11; bra.uni E;
A2: mov.u32 %d0, 12; bra.uni E;
A3: mov.u32 %d0, 13;
E:`,
      [A],
      1,
    );
    expect(found).toEqual(all((lane) => 10 + (lane & 3)));
  });
});

/** Small exact numbers, different at every place. */
const value = (row: number, column: number, salt: number) => (((row * 7 + column * 3 + salt) % 17) - 8) / 4;

interface Shape {
  readonly name: string;
  readonly type: "f16" | "bf16" | "tf32";
  readonly k: number;
  readonly half: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: "m16n8k16", type: "f16", k: 16, half: false },
  { name: "m16n8k16", type: "bf16", k: 16, half: false },
  { name: "m16n8k16", type: "f16", k: 16, half: true },
  { name: "m16n8k8", type: "f16", k: 8, half: false },
  { name: "m16n8k8", type: "bf16", k: 8, half: false },
  { name: "m16n8k8", type: "tf32", k: 8, half: false },
  { name: "m16n8k4", type: "tf32", k: 4, half: false },
];

describe("mma", () => {
  it.each(SHAPES)("$name of $type, f16 accumulators: $half", ({ name, type, k, half }) => {
    const a = (row: number, column: number) => value(row, column, 1);
    const b = (row: number, column: number) => value(row, column * 5, 2);
    const c = (row: number, column: number) => value(row * 2, column, 3);
    const narrow = (x: number) => (type === "tf32" ? f32Word(x) : encode(type, x));
    const pair = (low: number, high: number) => ((narrow(high) << 16) | narrow(low)) >>> 0;
    // Fragments written out from the PTX ISA's figures: groupID = lane >> 2, threadID_in_group = lane % 4.
    const aWord = (lane: number, r: number) => {
      const row = (lane >> 2) + (r % 2 === 1 ? 8 : 0);
      if (type === "tf32") return narrow(a(row, (lane % 4) + (r >= 2 ? 4 : 0)));
      const column = (lane % 4) * 2 + (r >= 2 ? 8 : 0);
      return pair(a(row, column), a(row, column + 1));
    };
    const bWord = (lane: number, r: number) => {
      if (type === "tf32") return narrow(b((lane % 4) + 4 * r, lane >> 2));
      const row = (lane % 4) * 2 + 8 * r;
      return pair(b(row, lane >> 2), b(row + 1, lane >> 2));
    };
    const [aCount, bCount] = type === "tf32" ? [k / 2, k / 4] : [k / 4, k / 8];
    const cCount = half ? 2 : 4;
    const place = (lane: number, i: number): [number, number] => [
      (lane >> 2) + (i >= 2 ? 8 : 0),
      (lane % 4) * 2 + (i & 1),
    ];
    const cWord = (lane: number, i: number) => {
      if (!half) return f32Word(c(...place(lane, i)));
      return (
        ((encode("f16", c(...place(lane, 2 * i + 1))) << 16) | encode("f16", c(...place(lane, 2 * i)))) >>> 0
      );
    };
    const inputs = [
      ...Array.from({ length: aCount }, (_, r) => all((lane) => aWord(lane, r))),
      ...Array.from({ length: bCount }, (_, r) => all((lane) => bWord(lane, r))),
      ...Array.from({ length: cCount }, (_, i) => all((lane) => cWord(lane, i))),
    ];
    const list = (prefix: string, from: number, count: number) =>
      `{${Array.from({ length: count }, (_, index) => `${prefix}${from + index}`).join(",")}}`;
    const accumulator = half ? "f16" : "f32";
    const found = lanes(
      `mma.sync.aligned.${name}.row.col.${accumulator}.${type}.${type}.${accumulator} ${list("%d", 0, cCount)}, ${list("%a", 0, aCount)}, ${list("%a", aCount, bCount)}, ${list("%a", aCount + bCount, cCount)};`,
      inputs,
      cCount,
    );
    for (let lane = 0; lane < 32; lane++) {
      for (let i = 0; i < 4; i++) {
        const [row, column] = place(lane, i);
        let want = c(row, column);
        for (let inner = 0; inner < k; inner++) want += a(row, inner) * b(inner, column);
        const word = half ? (found[i >> 1]?.[lane] ?? 0) : (found[i]?.[lane] ?? 0);
        const got = half ? (word >>> (16 * (i & 1))) & 0xffff : f32Value(word);
        expect(got, `row ${row}, column ${column}`).toBe(half ? encode("f16", want) : want);
      }
    }
  });
});

/** Rows of 8 halves at `stride` bytes: element (r, c) holds 100 r + c. Each lane gives the row address that its number names. */
function matrixKernel(body: string, stride: number): { words: Uint32Array[]; conflicts: number } {
  const text = kernel(
    `
  .reg .b32 %a<8>;
  .reg .b32 %d<8>;
  mov.u32 %r1, %tid.x;
  mul.lo.s32 %r2, %r1, ${stride};
  mov.u32 %r3, smem;
  add.s32 %r2, %r2, %r3;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  mul.wide.u32 %rd3, %r1, 16;
  add.s64 %rd1, %rd1, %rd3;
  add.s64 %rd2, %rd2, %rd3;
  ld.global.v4.u32 {%a0,%a1,%a2,%a3}, [%rd1];
  st.shared.v4.u32 [%r2], {%a0,%a1,%a2,%a3};
  bar.warp.sync -1;
${body}
  st.global.v4.u32 [%rd2], {%d0,%d1,%d2,%d3};`,
    2,
    ".extern .shared .align 16 .b8 smem[];\n",
  );
  const input = Uint16Array.from({ length: 256 }, (_, index) => (index >> 3) * 100 + (index & 7));
  const { counters, outputs } = launch(text, [input, 128], { sharedBytes: 32 * stride });
  const flat = wordsOf(outputs[1]);
  return {
    words: Array.from({ length: 4 }, (_, i) => all((lane) => flat[lane * 4 + i] ?? 0)),
    conflicts: counters.ldmatrixConflicts,
  };
}

describe("ldmatrix, stmatrix, movmatrix", () => {
  const LOAD = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%d0,%d1,%d2,%d3}, [%r2];";

  it("x4: lane t gets row t/4, columns 2(t%4) and the next", () => {
    const { words } = matrixKernel(LOAD, 16);
    words.forEach((found, matrix) => {
      expect(found).toEqual(
        all((lane) => {
          const at = (8 * matrix + (lane >> 2)) * 100 + 2 * (lane % 4);
          return at | ((at + 1) << 16);
        }),
      );
    });
  });

  it("x4.trans: lane t gets column t/4, rows 2(t%4) and the next", () => {
    const { words } = matrixKernel(LOAD.replace("x4", "x4.trans"), 16);
    words.forEach((found, matrix) => {
      expect(found).toEqual(
        all((lane) => {
          const at = (8 * matrix + 2 * (lane % 4)) * 100 + (lane >> 2);
          return at | ((at + 100) << 16);
        }),
      );
    });
  });

  it("rows padded by 16 bytes have no bank conflicts, rows of 128 bytes eight-fold ones", () => {
    expect(matrixKernel(LOAD, 144).conflicts).toBe(0);
    expect(matrixKernel(LOAD, 128).conflicts).toBe(28);
    // 64-byte rows: four rows start at two bank groups each, so 4 wavefronts instead of 1 a matrix.
    expect(matrixKernel(LOAD, 64).conflicts).toBe(12);
  });

  it("movmatrix transposes, stmatrix undoes ldmatrix", () => {
    const { words } = matrixKernel(
      `${LOAD}
movmatrix.sync.aligned.m8n8.trans.b16 %d1, %d0;
bar.warp.sync -1;
stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r2], {%d0};
bar.warp.sync -1;
ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%d2}, [%r2];`,
      16,
    );
    const transposed = all((lane) => {
      const at = 2 * (lane % 4) * 100 + (lane >> 2);
      return at | ((at + 100) << 16);
    });
    expect(words[1]).toEqual(transposed);
    expect(words[2]).toEqual(transposed);
  });
});

it("a predicate set before and after a warp-wide instruction", () => {
  const [found] = lanes(
    `setp.lt.u32 %p1, %lane, 9;
vote.sync.ballot.b32 %r1, %p1, -1;
setp.lt.u32 %p1, %lane, 3;
vote.sync.ballot.b32 %r2, %p1, -1;
shl.b32 %r1, %r1, 8;
or.b32 %d0, %r1, %r2;`,
    [A],
    1,
  );
  expect(found).toEqual(all(() => (511 << 8) | 7));
});
