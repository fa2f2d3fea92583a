import { describe, expect, it } from "vitest";
import { faultOf, kernel, type LaunchOptions, launch, wordsOf } from "./harness.ts";

const SHARED = ".extern .shared .align 16 .b8 smem[];\n";

/** %r2: the thread's 4-byte slot of shared memory; %r5: that of the lane beside it; %rd1, %rd2: its places in p0 and p1. */
const PROLOGUE = `
  mov.u32 %r1, %tid.x;
  shl.b32 %r3, %r1, 2;
  mov.u32 %r2, smem;
  add.s32 %r2, %r2, %r3;
  xor.b32 %r5, %r3, 4;
  mov.u32 %r6, smem;
  add.s32 %r5, %r5, %r6;
  cvt.u64.u32 %rd3, %r3;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  add.s64 %rd1, %rd1, %rd3;
  add.s64 %rd2, %rd2, %rd3;
  and.b32 %r7, %r1, 31;
  setp.lt.u32 %p1, %r7, 16;
  mov.u32 %r8, 0;
  mov.u32 %r9, 0;
`;

const INPUT = Uint32Array.from({ length: 64 }, (_, index) => index + 1);

function run(body: string, options: LaunchOptions = {}): Uint32Array {
  const text = kernel(`${PROLOGUE}${body}\n  st.global.u32 [%rd2], %r9;`, 2, SHARED);
  return wordsOf(launch(text, [INPUT, 64], { block: 64, sharedBytes: 1024, ...options }).outputs[1]);
}

const WRITE = ".loc 1 10 1\n  st.shared.u32 [%r2], %r1;\n";
const READ = ".loc 1 20 1\n  ld.shared.u32 %r9, [%r5];";
const neighbours = Uint32Array.from({ length: 64 }, (_, thread) => thread ^ 1);

const SYNCHRONISED: readonly [name: string, between: string][] = [
  ["bar.warp.sync", "bar.warp.sync -1;"],
  ["shfl", "shfl.sync.bfly.b32 %r8, %r1, 1, 31, -1;"],
  ["vote", "vote.sync.ballot.b32 %r8, %p1, -1;"],
  ["redux", "redux.sync.add.u32 %r8, %r1, -1;"],
  ["match", "match.any.sync.b32 %r8, %r1, -1;"],
  [
    "mma",
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3}, {%r8,%r8}, {%r8}, {%f0,%f1,%f2,%f3};",
  ],
  ["bar.sync", "bar.sync 0;"],
  ["barrier", "barrier.cta.sync.aligned 1, 64;"],
  ["bar.red", "bar.red.popc.u32 %r8, 0, %p1;"],
  [
    "both halves of the warp each for itself",
    "selp.b32 %r10, 0xffff, 0xffff0000, %p1;\n  bar.warp.sync %r10;",
  ],
  [
    "quarters, then quarters of other lanes",
    `and.b32 %r10, %r1, 24;
  mov.u32 %r11, 0xff;
  shl.b32 %r11, %r11, %r10;
  bar.warp.sync %r11;`,
  ],
  ["another path", "@%p1 bra LOW;\n  mov.u32 %r8, 1;\nLOW:\n  bar.warp.sync -1;"],
];

describe("lanes of one warp", () => {
  it.each(SYNCHRONISED)("may read each other's words after %s", (_, between) => {
    expect(run(`${WRITE}  ${between}\n${READ}`)).toEqual(neighbours);
  });

  it.each(["", "membar.cta;", "activemask.b32 %r8;", "bar.warp.sync -1;\n  st.shared.u32 [%r2], %r1;"])(
    "are reported without a synchronisation, with both places: %s",
    (between) => {
      const error = faultOf(() =>
        run(`${WRITE}  ${between.replace("st.", "\n  .loc 1 10 1\n  st.")}\n${READ}`),
      );
      expect([error.code, error.file, error.line, error.thread]).toEqual([
        "MTA855",
        "planted.cu",
        20,
        [0, 0, 0],
      ]);
      expect(error.message).toMatch(
        /lane 0 of warp 0 reads shared address 0x4, written by lane 1 of the same warp at planted\.cu:10/,
      );
      expect(error.message).toMatch(/no __syncwarp between/);
    },
  );

  it("are not reported with checks of bounds alone", () => {
    expect(run(`${WRITE}${READ}`, { device: { checks: "bounds" } })).toEqual(neighbours);
  });

  it("may read what they wrote themselves", () => {
    expect(run(`${WRITE}  ld.shared.u32 %r9, [%r2];`)).toEqual(Uint32Array.from({ length: 64 }, (_, i) => i));
  });

  it("a synchronisation of other lanes does not help", () => {
    // Lanes 0 … 15 synchronise; lane 16 reads what lane 17 wrote.
    const some = `${WRITE}  @!%p1 bra HIGH;\n  bar.warp.sync 0xffff;\nHIGH:\n${READ}`;
    const error = faultOf(() => run(some));
    expect(error.message).toMatch(/lane 16 of warp 0 reads shared address 0x44, written by lane 17/);
    // Halves that synchronise each for itself know nothing of each other.
    const across = `${WRITE}  selp.b32 %r10, 0xffff, 0xffff0000, %p1;\n  bar.warp.sync %r10;\n  xor.b32 %r11, %r3, 64;\n  add.s32 %r5, %r11, %r6;\n${READ}`;
    expect(faultOf(() => run(across)).message).toMatch(
      /lane 0 of warp 0 reads shared address 0x40, written by lane 16/,
    );
  });

  it("know what others learnt before they synchronised with them", () => {
    // Pairs of quarters (0, 1) and (2, 3), then (0, 2) and (1, 3): lane 0 then knows of lane 24 through lane 16.
    const mask = (first: string, second: string) =>
      `selp.b32 %r10, ${first}, ${second}, %p2;\n  bar.warp.sync %r10;\n`;
    const steps = (second: string) => `${WRITE}
  setp.lt.u32 %p2, %r7, 16;
  ${mask("0x0000ffff", "0xffff0000")}
  and.b32 %r12, %r7, 8;
  setp.eq.u32 %p2, %r12, 0;
  ${second}
  xor.b32 %r11, %r3, 96;
  add.s32 %r5, %r11, %r6;
${READ}`;
    expect(run(steps(mask("0x00ff00ff", "0xff00ff00")))).toEqual(
      Uint32Array.from({ length: 64 }, (_, thread) => thread ^ 24),
    );
    expect(faultOf(() => run(steps(""))).message).toMatch(
      /lane 0 of warp 0 reads shared address 0x60, written by lane 24/,
    );
  });

  it("copies of another lane need a synchronisation after the wait", () => {
    const copy = (between: string) => `
  .loc 1 10 1
  cp.async.ca.shared.global [%r2], [%rd1], 4;
  ${between}
${READ}`;
    expect(run(copy("cp.async.wait_all;\n  bar.warp.sync -1;"))).toEqual(
      Uint32Array.from({ length: 64 }, (_, thread) => (thread ^ 1) + 1),
    );
    for (const between of ["cp.async.wait_all;", "bar.warp.sync -1;\n  cp.async.wait_all;"]) {
      const error = faultOf(() => run(copy(between)));
      expect([error.code, error.line]).toEqual(["MTA855", 20]);
      expect(error.message).toMatch(/written by lane 1 of the same warp at planted\.cu:10/);
    }
  });

  it("ldmatrix orders what follows it, not what it reads itself", () => {
    const load = `
  st.shared.v4.u32 [%r12], {%r1,%r1,%r1,%r1};
  BETWEEN
  .loc 1 20 1
  ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r9,%r13,%r14,%r15}, [%r12];`;
    const body = (between: string) =>
      `shl.b32 %r12, %r1, 4;\n  add.s32 %r12, %r12, %r6;${load.replace("BETWEEN", between)}`;
    expect(run(body("bar.warp.sync -1;"))[5]).toBe(1);
    const error = faultOf(() => run(body("")));
    expect([error.code, error.line]).toEqual(["MTA855", 20]);
    const after = `${body("bar.warp.sync -1;").replace("  .loc 1 20 1\n", `${WRITE.replaceAll("%r2]", "%r2+512]")}`)}
  ld.shared.u32 %r9, [%r5+512];`;
    expect(run(after, { block: 32 }).slice(0, 32)).toEqual(neighbours.slice(0, 32));
  });

  it("atomics of several lanes do not race; plain accesses beside them do", () => {
    const zero = "@%p3 st.shared.u32 [smem+512], 0;\n";
    const body = (first: string, second: string) => `
  setp.eq.u32 %p3, %r7, 0;
  ${zero.replace("0;", "%r8;")}
  ${first}
  atom.shared.add.u32 %r8, [smem+512], 1;
  red.shared.add.u32 [smem+512], 1;
  ${second}
  ld.shared.u32 %r9, [smem+512];`;
    const all = "bar.warp.sync -1;";
    expect(run(body(all, all), { block: 32 })[3]).toBe(64);
    expect(faultOf(() => run(body("", all), { block: 32 })).message).toMatch(
      /lane 1 of warp 0 updates .* written by lane 0/,
    );
    expect(faultOf(() => run(body(all, ""), { block: 32 })).message).toMatch(
      /lane 0 of warp 0 reads .* written by lane 31/,
    );
  });

  it("lanes that exited are not waited for", () => {
    const body = `${WRITE}  @!%p1 exit;\n  bar.warp.sync -1;\n${READ}`;
    expect(run(body, { block: 32 }).slice(0, 16)).toEqual(neighbours.slice(0, 16));
  });

  it("a loop that writes, synchronises and reads many times", () => {
    const loop = (end: string) => `
  mov.u32 %r10, 0;
  st.shared.u32 [%r2], %r1;
LOOP:
  bar.warp.sync -1;
${READ}
  bar.warp.sync -1;
  st.shared.u32 [%r2], %r9;
  add.s32 %r10, %r10, 1;
  setp.lt.u32 %p2, %r10, 100;
  @%p2 bra LOOP;
  ${end}
  ld.shared.u32 %r9, [%r5];`;
    expect(run(loop("bar.warp.sync -1;"))).toEqual(neighbours);
    expect(faultOf(() => run(loop(""))).code).toBe("MTA855");
  });
});
