import { analyse, analyseBuilt, type CheckedSpec, type Diagnostic } from "../language/index.ts";
import { SpecError } from "./spec-error.ts";

/** A spec without errors, and the warnings. */
export interface CheckedSource {
  readonly spec: CheckedSpec;
  /** Warnings only: errors are thrown. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Checks a spec's text, or declarations made with `attention()`, `stack()` and the like.
 *
 * @throws SpecError when the spec has errors.
 */
export function checkSource(source: string | object, file = "spec.mta"): CheckedSource {
  const { spec, diagnostics } =
    typeof source === "string" ? analyse(source, file) : analyseBuilt(source, file);
  if (spec === null) throw new SpecError(diagnostics);
  return { spec, diagnostics };
}
