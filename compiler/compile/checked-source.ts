import { MtacError } from "../../runtime/contract/index.ts";
import { analyse, analyseBuilt, type CheckedSpec, type Diagnostic } from "../language/index.ts";

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

/** A spec that cannot be compiled. `diagnostics` holds every error and warning, `code` is the first error's. */
export class SpecError extends MtacError {
  override readonly name: string = "SpecError";
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    const [first] = errors;
    const place =
      first === undefined ? "" : `${first.file}:${first.span.line}:${first.span.column}: ${first.message}`;
    const others = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
    super(first?.code ?? "MTA110", "input", `${place}${others}`);
    this.diagnostics = diagnostics;
  }
}
