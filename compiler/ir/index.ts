export * from "./error.ts";
export * from "./floors.ts";
export * from "./lower.ts";
export * from "./passes.ts";
export * from "./verify.ts";
export {
  type Arithmetic,
  EXPRESSIONS,
  type Inequality,
  type KeyRange,
  keyRanges,
  NUMBERS,
  type Range,
  type Span,
  type Visibility,
  visibilityOf,
} from "./visibility.ts";
