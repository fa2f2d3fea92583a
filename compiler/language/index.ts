export { type Analysis, analyse, type SoundParts } from "./analyse.ts";
export { analyseBuilt } from "./analyse-built.ts";
export type { Attention, CheckedSpec, CheckedStage, Span, Stack, StageOf, Tune } from "./attention.ts";
export * from "./builder.ts";
export type { StageValue } from "./builder-values.ts";
export {
  CATALOGUE,
  type Diagnostic,
  type DiagnosticCode,
  type DiagnosticExtras,
  diagnostic,
  type Fix,
  type RelatedPlace,
  type Severity,
} from "./diagnostics.ts";
export { type Formatted, format } from "./format.ts";
export { camelCase, snakeCase } from "./identifier.ts";
export { printSpec } from "./print.ts";
export { type RenderOptions, renderDiagnostic, renderDiagnostics } from "./render.ts";
export { suggest } from "./suggest.ts";
export type { SpecTree } from "./tree.ts";
