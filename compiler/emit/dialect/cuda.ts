import { type Dialect, floatDigits, type ScalarType } from "./dialect.ts";

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

/** CUDA C++, without the toolkit's headers. */
export const CUDA: Dialect = {
  target: "cuda",
  language: "cuda",
  words: { group: "block", threads: "threads", memory: "shared memory" },
  literal,
  field: (name, type) => `${TYPES[type]} ${name};`,
  constant: (name, type, value) => `constexpr ${TYPES[type]} ${name} = ${value};`,
};
