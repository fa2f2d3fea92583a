import type { BindingElement, StorageForm } from "../../runtime/contract/index.ts";

/** How a tensor's rows are loaded or stored. */
export interface TensorModel {
  readonly variable: string;
  readonly f32: boolean;
  readonly native: boolean;
  readonly bf16: boolean;
  readonly four: boolean;
  readonly two: boolean;
  /** Packed rows that may begin in the middle of a word. */
  readonly one: boolean;
  /** Elements after the last whole four of a row, 0 for none. */
  readonly tail: number;
  readonly tailIsOne: boolean;
  readonly tailOffsets: readonly string[];
  readonly tailZeros: string;
}

export function tensorModel(variable: string, size: number, width: number, form: StorageForm): TensorModel {
  const tail = size % 4;
  return {
    variable,
    f32: form === "f32",
    native: form === "f16-native",
    bf16: form === "bf16-packed",
    four: width === 4,
    two: width === 2,
    one: width === 1 && (form === "f16-packed" || form === "bf16-packed"),
    tail,
    tailIsOne: tail === 1,
    tailOffsets: Array.from({ length: tail }, (_, index) => (index === 0 ? "" : ` + ${index}u`)),
    tailZeros: Array.from({ length: 4 - tail }, () => "0.0").join(", "),
  };
}

/** The WGSL type of a buffer's elements: whole vectors where one load takes several. */
export function bufferType(
  element: BindingElement,
  width: number,
  form: StorageForm,
  written: boolean,
): string {
  switch (element) {
    case "storage":
      return storageType(width, form, written);
    case "f32":
      return storageType(width, "f32", written);
    case "word":
      return "u32";
    case "f16":
    case "i32":
    case "launch":
      throw new RangeError(`WGSL kernels bind no ${element}`);
  }
}

function storageType(width: number, form: StorageForm, written: boolean): string {
  switch (form) {
    case "f32":
      return ["f32", "vec2f", "vec4f"][Math.log2(width)] ?? "f32";
    case "f16-native":
      return ["f16", "vec2<f16>", "vec4<f16>"][Math.log2(width)] ?? "f16";
    case "bf16-native":
      throw new RangeError("WGSL has no bf16");
    case "f16-packed":
    case "bf16-packed":
      if (width === 4) return "vec2u";
      return width === 1 && written ? "atomic<u32>" : "u32";
  }
}
