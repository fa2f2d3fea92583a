export { SAFETENSORS_CODES } from "./codes.ts";
export { fromValues, toFloat64Tensor, toHostTensor } from "./convert.ts";
export {
  notFloatingPoint,
  parameterValues,
  type ReadParametersOptions,
  readParameters,
} from "./parameters.ts";
export { type ByteSource, type ParseOptions, parseSafetensors, readSafetensors } from "./read.ts";
export {
  ELEMENT_BYTES,
  type ElementArray,
  type ElementType,
  type StoredTensor,
  TensorView,
} from "./tensor.ts";
export { writeSafetensors } from "./write.ts";
