const AXES: Readonly<Record<string, number>> = { x: 0, y: 1, z: 2 };

const FIXED: Readonly<Record<string, string>> = {
  "%laneid": "l",
  "%warpid": "w.index",
  "%nwarpid": "64",
  "%smid": "0",
  "%nsmid": "1",
  "%gridid": "0",
  "%lanemask_eq": "(1<<l)",
  "%lanemask_lt": "((1<<l)-1)",
  "%lanemask_le": "((2<<l)-1)",
  "%lanemask_gt": "(l===31?0:-2<<l)",
  "%lanemask_ge": "(-1<<l)",
  "%dynamic_smem_size": "S[9]",
  "%total_smem_size": "S[10]",
  // Time is counted in executed warp instructions.
  "%clock": "(w.executed|0)",
  "%clock64": "(w.executed|0)",
  "%globaltimer": "(w.executed|0)",
  "%globaltimer_lo": "(w.executed|0)",
};

/** The expression of a special register in a lane loop (PTX ISA 9.0, chapter "Special Registers"), or null. */
export function specialRegister(name: string): string | null {
  const found = /^%(tid|ntid|ctaid|nctaid)\.([xyz])$/.exec(name);
  if (found === null) return FIXED[name] ?? null;
  const axis = AXES[found[2] ?? ""] ?? 0;
  switch (found[1]) {
    case "tid":
      return `I[${axis * 32}+l]`;
    case "ctaid":
      return `S[${axis}]`;
    case "ntid":
      return `S[${3 + axis}]`;
    default:
      return `S[${6 + axis}]`;
  }
}
