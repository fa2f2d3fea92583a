export * from "./error.ts";
export * from "./floors.ts";
export * from "./lower.ts";
export * from "./passes.ts";
export * from "./verify.ts";
