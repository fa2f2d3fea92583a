import { MtacError } from "../contract/index.ts";

/** Codes of what can be wrong with a safetensors file, or with what is to become one. */
export const SAFETENSORS_CODES = {
  truncated: "MTA651",
  headerTooLong: "MTA652",
  headerNotJson: "MTA653",
  badEntry: "MTA654",
  unsupportedType: "MTA655",
  offsetsOutside: "MTA656",
  offsetsOverlap: "MTA657",
  sizeMismatch: "MTA658",
  duplicateName: "MTA659",
  integerRange: "MTA660",
  unwritable: "MTA661",
  notFloatingPoint: "MTA662",
  missingTensor: "MTA663",
  tensorShape: "MTA664",
  nameTooLong: "MTA665",
} as const;

export function fileError(
  code: keyof typeof SAFETENSORS_CODES,
  file: string,
  problem: string,
  remedy: string,
): MtacError {
  return new MtacError(SAFETENSORS_CODES[code], "input", `${file}: ${problem}`, { remedy });
}
