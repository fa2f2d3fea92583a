import type {
  BindingElement,
  BufferBinding,
  Operand,
  Plan,
  StorageForm,
} from "../../../runtime/contract/index.ts";
import { type Dialect, floatDigits, type ScalarType } from "./dialect.ts";
import { WGSL_EXPRESSIONS } from "./expression.ts";

function literal(type: ScalarType, value: number | boolean): string {
  if (typeof value === "boolean") return String(value);
  if (type === "f32") return floatDigits(value);
  return type === "u32" ? `${value}u` : String(value);
}

function binding({ binding: index, access }: BufferBinding, operand: Operand, { storage }: Plan): string {
  const { variable } = operand;
  if (access === "uniform") return `@group(0) @binding(${index}) var<uniform> ${variable}: Launch;`;
  const type = bufferType(operand, storage, access === "read_write");
  return `@group(0) @binding(${index}) var<storage, ${access}> ${variable}: array<${type}>;`;
}

/** The type of a buffer's elements: whole vectors where one load takes several. */
function bufferType({ element, width }: Operand, form: StorageForm, written: boolean): string {
  switch (element) {
    case "storage":
      return storageType(width, form, written);
    case "f32":
      return vectorOf("f32", width);
    case "word":
      return "u32";
    case "f16":
    case "i32":
    case "launch":
      throw new RangeError(`WGSL kernels bind no ${element satisfies BindingElement}`);
  }
}

function storageType(width: number, form: StorageForm, written: boolean): string {
  switch (form) {
    case "f32":
      return vectorOf("f32", width);
    case "f16-native":
      return vectorOf("f16", width);
    case "bf16-native":
      throw new RangeError("WGSL has no bf16");
    case "f16-packed":
    case "bf16-packed":
      if (width === 4) return "vec2u";
      return width === 1 && written ? "atomic<u32>" : "u32";
  }
}

function vectorOf(type: "f32" | "f16", width: number): string {
  if (width === 1) return type;
  return type === "f32" ? `vec${width}f` : `vec${width}<f16>`;
}

/**
 * WGSL, a file a kernel. Constants have no type of their own: whole numbers then count both `i32` positions and `u32` indices,
 * without a conversion.
 */
export const WGSL: Dialect = {
  target: "webgpu",
  language: "wgsl",
  extension: "wgsl",
  sharing: null,
  words: { group: "workgroup", threads: "invocations", memory: "workgroup memory" },
  expressions: WGSL_EXPRESSIONS,
  pair: { key: "keys", wide: (scalar) => `vec4i(${scalar})` },
  literal,
  field: (name, type) => `${name}: ${type},`,
  constant: (name, _type, value) => `const ${name} = ${value};`,
  binding,
};
