import { CPU_ERRORS } from "../../runtime/cpu/error-meanings.ts";
import { EMULATOR_ERRORS } from "../../runtime/emulator/errors.ts";
import { GPU_ERRORS } from "../../runtime/webgpu/error-meanings.ts";
import { CATALOGUE } from "../language/diagnostics.ts";
import { type GuideEntry, type GuideSection, withMeanings } from "./advice.ts";
import { CALL_GUIDE } from "./call.ts";
import { COMMAND_LINE_GUIDE } from "./command-line.ts";
import { CPU_ADVICE } from "./cpu.ts";
import { CUDA_GUIDE } from "./cuda.ts";
import { EMULATOR_ADVICE } from "./emulator.ts";
import { NAME_ADVICE } from "./names.ts";
import { PYTORCH_GUIDE } from "./pytorch.ts";
import { SAFETENSORS_GUIDE } from "./safetensors.ts";
import { SYNTAX_ADVICE } from "./syntax.ts";
import { TUNING_GUIDE } from "./tune.ts";
import { VALUE_ADVICE } from "./values.ts";
import { GPU_ADVICE } from "./webgpu.ts";

export type { GuideEntry, GuideSection } from "./advice.ts";

const language = withMeanings({ ...SYNTAX_ADVICE, ...NAME_ADVICE, ...VALUE_ADVICE }, (code) => {
  const { title, severity } = CATALOGUE[code];
  return severity === "warning" ? `${title} (a warning)` : title;
});

/** Every code of mtac, with what it means, why it comes up and what to do. */
export const ERROR_GUIDE: readonly GuideSection[] = [
  { title: "Specs", entries: language },
  { title: "Calls: inputs and parameters", entries: CALL_GUIDE },
  { title: "Files of tensors", entries: SAFETENSORS_GUIDE },
  { title: "WebGPU", entries: withMeanings(GPU_ADVICE, (code) => GPU_ERRORS[code]) },
  { title: "CUDA", entries: CUDA_GUIDE },
  { title: "The processor", entries: withMeanings(CPU_ADVICE, (code) => CPU_ERRORS[code]) },
  { title: "Emulated CUDA", entries: withMeanings(EMULATOR_ADVICE, (code) => EMULATOR_ERRORS[code].meaning) },
  { title: "Packages for PyTorch", entries: PYTORCH_GUIDE },
  { title: "Tuning", entries: TUNING_GUIDE },
  { title: "Command line, files, bundlers", entries: COMMAND_LINE_GUIDE },
];

/** What the guide says of a code; null where there is no such code. */
export function explainCode(code: string): GuideEntry | null {
  const { entries } = ERROR_GUIDE.find((section) => Object.hasOwn(section.entries, code)) ?? {};
  return entries?.[code] ?? null;
}
