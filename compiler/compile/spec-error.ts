import { MtacError } from "../../runtime/contract/index.ts";
import type { Diagnostic } from "../language/index.ts";

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
