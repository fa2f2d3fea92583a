import type { EmulatorErrorCode } from "../../runtime/emulator/errors.ts";
import type { Advice } from "./advice.ts";

const REPORT =
  "In kernels of mtac this is a defect: report it with the spec and the message, which names the line. In kernels of your own, mend that line.";

/** What the emulated CUDA device finds wrong with kernels and launches. */
export const EMULATOR_ADVICE: Readonly<Record<EmulatorErrorCode, Advice>> = {
  MTA850: {
    cause:
      "The PTX uses an instruction that the emulator does not know: a newer toolkit, or code of another origin.",
    remedy:
      "Report it with the toolkit's version, or take the toolkit that [CUDA from C++](./cuda.md) names.",
  },
  MTA851: { cause: "The text is no PTX, or was cut off.", remedy: "Compile the kernels again." },
  MTA852: {
    cause: "A kernel reads or writes outside every allocation, parameter or constant.",
    remedy: REPORT,
  },
  MTA853: {
    cause: "An access of 2, 4, 8 or 16 bytes does not begin at a multiple of its size; a GPU would stop.",
    remedy: REPORT,
  },
  MTA854: {
    cause: "A kernel reads memory before anything was written to it: on a GPU the result would be anything.",
    remedy: `Upload inputs before the call. ${REPORT}`,
  },
  MTA855: {
    cause: "Two threads access the same memory without a barrier between them, and one of them writes.",
    remedy: REPORT,
  },
  MTA856: {
    cause: "A shuffle, vote or matrix instruction is executed by a part of the warp that it names.",
    remedy: REPORT,
  },
  MTA857: { cause: "Some threads of a block wait at a barrier that the others never reach.", remedy: REPORT },
  MTA858: {
    cause: "The grid, the block or its shared memory is larger than the architecture allows, or empty.",
    remedy: "Give sizes within the limits that the message names.",
  },
  MTA859: { cause: "Data of an asynchronous copy is used before the copy was waited for.", remedy: REPORT },
  MTA860: {
    cause: "A kernel executed more instructions than the launch allows: an endless loop, or a large problem.",
    remedy: "Emulate smaller sizes, or raise the budget.",
  },
  MTA861: { cause: "The kernel stopped itself with `trap`.", remedy: REPORT },
  MTA862: {
    cause:
      "Memory was used after it was freed, or outside its allocation, by the program around the kernels.",
    remedy: "Keep tensors until the last call that uses them has ended.",
  },
};
