export { type Analysis, analyse } from "./analyse.ts";
export type { Attention, CheckedSpec, CheckedStage, Span, Stack, StageOf, Tune } from "./attention.ts";
export {
  CATALOGUE,
  type Diagnostic,
  type DiagnosticCode,
  diagnostic,
  type Fix,
  type Severity,
} from "./diagnostics.ts";
export { camelCase, snakeCase } from "./identifier.ts";
export { type RenderOptions, renderDiagnostic, renderDiagnostics } from "./render.ts";
export { suggest } from "./suggest.ts";
export type { SpecTree } from "./tree.ts";
