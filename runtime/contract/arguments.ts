import { MtacError } from "./errors.ts";
import { INPUT_TENSORS } from "./resources.ts";
import type { StorageType } from "./storage.ts";

/** Codes of arguments that are not what they must be, whatever the target. */
export const ARGUMENT_ERRORS = {
  MTA614: { kind: "input", meaning: "a tensor of a call is no tensor of the target" },
  MTA615: { kind: "input", meaning: "a size, or a position, is beyond 32-bit integers" },
  MTA616: { kind: "input", meaning: "a shape or its strides are no list of whole numbers" },
  MTA617: { kind: "input", meaning: "there is no such storage type" },
  MTA618: { kind: "input", meaning: "parameters are no Map of values, or a pipeline is none" },
  MTA619: { kind: "usage", meaning: "a device of `openDevice` is needed, and something else was given" },
  MTA620: { kind: "usage", meaning: "the attention was compiled without its backward pass" },
  MTA621: { kind: "usage", meaning: "a backward pass needs a saved call, and something else was given" },
  MTA622: { kind: "usage", meaning: "the call was saved by another launcher" },
  MTA623: { kind: "usage", meaning: "the saved call was released" },
  MTA624: { kind: "usage", meaning: "there is no such gradient" },
} as const;

/** What targets call their tensors, and how they tell them from other things. */
export interface TensorKind {
  /** For example "a DeviceTensor". */
  readonly name: string;
  readonly remedy: string;
  accepts(tensor: object): boolean;
}

/** Largest 32-bit integer: kernels count rows, keys and positions in them. */
export const MAX_INTEGER = 2 ** 31 - 1;

const STORAGES: readonly string[] = ["f32", "f16", "bf16", "i32"] satisfies readonly (StorageType | "i32")[];

/** What a value is, for a message about one that is not what was asked for. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  const name: unknown = value.constructor?.name;
  if (typeof name !== "string" || name === "" || name === "Object")
    return `{ ${Object.keys(value).join(", ")} }`;
  return /^[AEIOU]/.test(name) ? `an ${name}` : `a ${name}`;
}

/**
 * Checks that everything given as a tensor of a call is one. What is left out is the business of `checkInputs`.
 * @throws MtacError MTA614
 */
export function checkTensors(inputs: unknown, kind: TensorKind): void {
  checkObject("inputs", inputs, "pass an object { q, k, v }");
  for (const { key, name } of INPUT_TENSORS) {
    const tensor: unknown = Reflect.get(inputs, key);
    if (tensor !== undefined) checkTensorKind(`input ${name}`, tensor, kind);
  }
}

/** @throws MtacError MTA614: what should hold tensors is no object. */
export function checkObject(what: string, value: unknown, remedy: string): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new MtacError("MTA614", "input", `the ${what} are ${describeValue(value)}`, { remedy });
}

/** @throws MtacError MTA614 */
export function checkTensorKind(what: string, tensor: unknown, kind: TensorKind): asserts tensor is object {
  const isTensor = typeof tensor === "object" && tensor !== null && "shape" in tensor;
  if (isTensor && isNumbers(tensor.shape) && kind.accepts(tensor)) return;
  throw new MtacError("MTA614", "input", `the ${what} is ${describeValue(tensor)}, not ${kind.name}`, {
    remedy: tensor === null || tensor === undefined ? `${kind.remedy}, or leave it out` : kind.remedy,
  });
}

/**
 * Checks the layout of a tensor that is to be made.
 * @throws MtacError MTA616, MTA617
 */
export function checkLayout(shape: unknown, storage: unknown, strides: unknown): void {
  const axes = checkWholeNumbers("shape", shape);
  if (!STORAGES.includes(String(storage))) {
    throw new MtacError(
      "MTA617",
      "input",
      `there is no storage type ${JSON.stringify(storage) ?? "undefined"}`,
      {
        remedy: `it is one of ${STORAGES.join(", ")}`,
      },
    );
  }
  if (strides === undefined || checkWholeNumbers("strides", strides) === axes) return;
  throw new MtacError("MTA616", "input", `a shape of ${axes} axes cannot have the strides [${strides}]`, {
    remedy: "give one stride for each axis, in elements",
  });
}

function checkWholeNumbers(what: string, list: unknown): number {
  const isList = Array.isArray(list);
  if (isList && list.every((each: unknown) => Number.isSafeInteger(each) && Number(each) >= 0))
    return list.length;
  const shown = isList ? `[${list.join(", ")}]` : describeValue(list);
  throw new MtacError("MTA616", "input", `a tensor cannot have the ${what} ${shown}`, {
    remedy: `give the ${what} as a list of whole numbers from 0, one for each axis`,
  });
}

/** Whether a tensor says where its elements lie, as those on devices do. */
export function hasLayout(tensor: object): boolean {
  return (
    "strides" in tensor &&
    isNumbers(tensor.strides) &&
    "storage" in tensor &&
    typeof tensor.storage === "string"
  );
}

/** Whether something is a list of numbers; which numbers they may be, their readers check. */
export function isNumbers(list: unknown): boolean {
  return Array.isArray(list) && list.every((each: unknown) => typeof each === "number");
}
