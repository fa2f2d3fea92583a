import { type Checks, listOf, map, refuseOptions, text, texts, truth } from "../options.ts";
import { PLAN_OPTIONS } from "../plan/index.ts";
import type { CompileOptions } from "./kernels.ts";

const CHECKS: Checks<keyof CompileOptions | "file"> = {
  ...PLAN_OPTIONS,
  // Which there are, `emittedTargets` says.
  targets: listOf(text, "names of targets"),
  names: texts,
  grad: truth,
  tuned: map,
  images: map,
  file: text,
};

/** @throws MtacError MTA933: an option of `compile` that is none, or a value that it does not take */
export function checkCompileOptions(options: unknown): void {
  refuseOptions("compile", options, CHECKS);
}
