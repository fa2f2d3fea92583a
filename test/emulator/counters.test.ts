import { describe, expect, it } from "vitest";
import { addCounters, type Counters } from "../../runtime/emulator/index.ts";
import { kernel, launch } from "./harness.ts";

/** Counters of one warp whose lanes store `type` registers at lane × stride bytes of shared or global memory. */
function stores(space: "shared" | "global", stride: number, width: 4 | 8 | 16): Counters {
  const data = {
    4: "u32 [ADDRESS], %r1",
    8: "v2.u32 [ADDRESS], {%r1,%r1}",
    16: "v4.u32 [ADDRESS], {%r1,%r1,%r1,%r1}",
  };
  const text = kernel(
    `
  mov.u32 %r1, 7;
  mov.u32 %r2, %laneid;
  mul.lo.s32 %r3, %r2, ${stride};
  mov.u32 %r4, smem;
  add.s32 %r4, %r4, %r3;
  ld.param.u64 %rd1, [p0];
  cvt.u64.u32 %rd2, %r3;
  add.s64 %rd1, %rd1, %rd2;
  st.${space}.${data[width].replace("ADDRESS", space === "shared" ? "%r4" : "%rd1")};`,
    1,
    ".extern .shared .align 16 .b8 smem[];\n",
  );
  return launch(text, [8192], { sharedBytes: 32768 }).counters;
}

describe("shared memory", () => {
  // stride in bytes, access width, wavefronts, of those beyond the least
  const table: [number, 4 | 8 | 16, number, number][] = [
    [4, 4, 1, 0],
    [8, 4, 2, 1],
    [16, 4, 4, 3],
    [128, 4, 32, 31],
    [132, 4, 1, 0],
    [0, 4, 1, 0],
    [8, 8, 2, 0],
    [16, 8, 4, 2],
    [0, 8, 2, 0],
    [16, 16, 4, 0],
    [32, 16, 8, 4],
    [128, 16, 32, 28],
    [144, 16, 4, 0],
  ];
  it.each(table)(
    "stride %i, %i bytes: %i wavefronts, %i of them conflicts",
    (stride, width, wavefronts, conflicts) => {
      const counters = stores("shared", stride, width);
      expect([counters.sharedWavefronts, counters.sharedConflicts]).toEqual([wavefronts, conflicts]);
    },
  );
});

describe("global memory", () => {
  const table: [number, 4 | 8 | 16, number][] = [
    [4, 4, 4],
    [8, 4, 8],
    [32, 4, 32],
    [0, 4, 1],
    [8, 8, 8],
    [16, 16, 16],
  ];
  it.each(table)("stride %i, %i bytes: %i sectors", (stride, width, sectors) => {
    const counters = stores("global", stride, width);
    expect([counters.globalSectorsWritten, counters.globalBytesWritten]).toEqual([sectors, 32 * width]);
  });
});

describe("instructions", () => {
  const text = kernel(`
  mov.u32 %r1, %laneid;
  setp.lt.u32 %p1, %r1, 8;
  mov.f32 %f1, 0f3F800000;
  fma.rn.f32 %f2, %f1, %f1, %f1;
  @%p1 add.f32 %f2, %f2, %f1;
  @%p1 ex2.approx.ftz.f32 %f3, %f2;
  ex2.approx.ftz.f32 %f3, %f2;
  @%p1 bra END;
  mul.f32 %f4, %f1, %f1;
END:
  bar.sync 0;`);

  it("counts what is issued, and lanes that work", () => {
    const { counters } = launch(text, [1, 1]);
    expect(counters.opcodes).toEqual({
      mov: 2,
      "setp.u32": 1,
      "fma.f32": 1,
      "add.f32": 1,
      ex2: 2,
      bra: 1,
      "mul.f32": 1,
      "bar.sync": 1,
      ret: 1,
    });
    expect(counters.warpInstructions).toBe(11);
    expect(counters.laneFma).toBe(32 + 8 + 24);
    expect(counters.specialFunctions).toBe(8 + 32);
    expect(counters.barriers).toBe(1);
  });

  it("adds launches", () => {
    const { counters } = launch(text, [1, 1], { grid: 3 });
    const twice = addCounters([counters, counters]);
    expect(twice).toMatchObject({ blocks: 6, warpInstructions: 66, opcodes: { ex2: 12 } });
  });
});
