import { type Dialect, floatDigits, type ScalarType } from "./dialect.ts";

function literal(type: ScalarType, value: number | boolean): string {
  if (typeof value === "boolean") return String(value);
  if (type === "f32") return floatDigits(value);
  return type === "u32" ? `${value}u` : String(value);
}

/**
 * WGSL. Constants have no type of their own: whole numbers then count both `i32` positions and `u32` indices, without a
 * conversion.
 */
export const WGSL: Dialect = {
  target: "webgpu",
  language: "wgsl",
  words: { group: "workgroup", threads: "invocations", memory: "workgroup memory" },
  literal,
  field: (name, type) => `${name}: ${type},`,
  constant: (name, _type, value) => `const ${name} = ${value};`,
};
