export * from "./errors.ts";
export * from "./expression.ts";
export * from "./launch.ts";
export * from "./pipeline.ts";
export * from "./plan.ts";
export * from "./program.ts";
export * from "./storage.ts";
export * from "./tensor.ts";
