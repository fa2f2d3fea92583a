import type { BindingElement, BufferBinding, Operand, Plan } from "../../../runtime/contract/index.ts";
import { type Dialect, floatDigits, type ScalarType } from "./dialect.ts";
import { CUDA_EXPRESSIONS } from "./expression.ts";

const TYPES: Readonly<Record<ScalarType, string>> = {
  i32: "int",
  u32: "unsigned",
  f32: "float",
  bool: "bool",
};

function literal(type: ScalarType, value: number | boolean): string {
  if (typeof value === "boolean") return String(value);
  if (type === "f32") return `${floatDigits(value)}f`;
  return type === "u32" ? `${value}u` : String(value);
}

function binding({ access }: BufferBinding, { variable, element, width }: Operand): string {
  if (access === "uniform") return `const Launch ${variable}`;
  const constant = access === "read_write" ? "" : "const ";
  return `${constant}${elementType(element, width)}* __restrict__ ${variable}`;
}

/** The C++ type of what lies behind a binding's pointer. */
export function elementType(element: BindingElement, width: number): string {
  switch (element) {
    case "storage":
      return "Element";
    case "f16":
      return "unsigned short";
    case "i32":
      return "int";
    case "f32":
      return width === 2 ? "float2" : "float";
    case "word":
      return "float";
    case "launch":
      return "Launch";
  }
}

/** The C++ namespace of a plan's kernels: several emitted files may be linked together. */
export function cudaNamespace({ pipeline, direction, kernels }: Plan): string {
  // `<attention>.2.cu`, `<attention>.dropout.cu`: the file's name tells an attention's plans apart.
  const variant = /\.(\d+|dropout\d*)\.cu$/.exec(kernels[0]?.file ?? "")?.[1];
  const name = direction === undefined ? pipeline.name : `${pipeline.name}_${direction}`;
  return `mtac_${name}${variant === undefined ? "" : `_${variant}`}`;
}

/** CUDA C++, without the toolkit's headers: one file a plan, as its kernels share functions. */
export const CUDA: Dialect = {
  target: "cuda",
  language: "cuda",
  extension: "cu",
  sharing: "cuda",
  words: { group: "block", threads: "threads", memory: "shared memory" },
  expressions: CUDA_EXPRESSIONS,
  pair: { key: "key", wide: (scalar) => scalar },
  literal,
  field: (name, type) => `${TYPES[type]} ${name};`,
  constant: (name, type, value) => `constexpr ${TYPES[type]} ${name} = ${value};`,
  binding,
};
