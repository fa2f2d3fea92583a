import { checkTensors, MAX_INTEGER, type TensorKind } from "./arguments.ts";
import type { PrepareSize } from "./call.ts";
import { MtacError } from "./errors.ts";
import type { CallSize } from "./expand.ts";
import { nearestName } from "./names.ts";
import type { Pipeline } from "./pipeline.ts";
import {
  type AxisName,
  axisSizes,
  INPUT_TENSORS,
  type InputResource,
  type TensorResource,
  tensorExists,
} from "./resources.ts";
import type { AttentionInputs, CallShape } from "./tensor.ts";

/** Codes of what can be wrong with the tensors of a call. */
export const INPUT_CODES = {
  missingInput: "MTA601",
  unexpectedInput: "MTA602",
  inputShape: "MTA603",
  emptyInput: "MTA604",
  moreQueriesThanKeys: "MTA605",
  historyTooLong: "MTA606",
  layer: "MTA607",
  notIntegers: "MTA608",
  missingParameter: "MTA611",
  unexpectedParameter: "MTA612",
  parameterShape: "MTA613",
} as const;

/** What checks need of a tensor. The values of integer inputs are looked at where they are at hand. */
export interface ShapedTensor {
  readonly shape: readonly number[];
  readonly data?: ArrayLike<number>;
}

/** What every target's tensors are, those on the host too. */
const SHAPED: TensorKind = {
  name: "a tensor",
  remedy: "give an object with a `shape`",
  accepts: () => true,
};

const SIZES = ["B", "Lq", "Lk", "R"] as const;

/** What windows and kernels may add to a position: emitted kernels leave the same room. */
const POSITION_ROOM = 2 ** 25;

/**
 * Checks sizes that are given without tensors.
 * @throws MtacError MTA604, MTA615
 */
export function checkSize(shape: CallShape): void {
  for (const name of SIZES) {
    const size = shape[name];
    const least = name === "R" ? 0 : 1;
    if (Number.isSafeInteger(size) && size > MAX_INTEGER) throw tooLarge(`the size ${name} is ${size}`);
    if (Number.isSafeInteger(size) && size >= least) continue;
    throw new MtacError(INPUT_CODES.emptyInput, "input", `the size ${name} is ${size}`, {
      remedy: `give an integer of at least ${least}: B batch entries, Lq query rows, Lk keys, R rows of history`,
    });
  }
}

/**
 * Checks what `prepare` is asked for.
 * @throws MtacError MTA604, MTA615
 */
export function checkPrepareSize(asked: unknown): CallSize {
  const given: Partial<PrepareSize> = typeof asked === "object" && asked !== null ? asked : {};
  const { B = Number.NaN, Lq = Number.NaN, Lk = Number.NaN, R = 0, positions = false } = given;
  checkSize({ B, Lq, Lk, R });
  return { B, Lq, Lk, R, positions };
}

function tooLarge(what: string): MtacError {
  return new MtacError("MTA615", "input", `${what}: kernels count in 32-bit integers`, {
    remedy: `stay below 2^31 (positions: ${POSITION_ROOM} and the number of query rows below it)`,
  });
}

/**
 * Checks a call's tensors against the attention and each other, and reads off the shape of the call. Inputs:
 * q [B, H, Lq, D], k [B, Hkv, Lk, D], v [B, Hkv, Lk, Dv] and what `AttentionInputs` lists as optional.
 * @throws MtacError MTA601 … MTA608, MTA614, MTA615
 */
export function checkInputs(pipeline: Pipeline, inputs: AttentionInputs<ShapedTensor>): CallShape {
  checkTensors(inputs, SHAPED);
  checkPresence(pipeline, inputs);
  // Without history, no row lies before the first.
  const known: { -readonly [Size in keyof CallShape]?: number } =
    inputs.qHistory === undefined ? { R: 0 } : {};
  for (const input of INPUT_TENSORS) {
    const tensor = inputs[input.key];
    if (tensor === undefined) continue;
    checkShape(pipeline, input, tensor, known);
    const axes: readonly AxisName[] = input.axes;
    for (const size of SIZES) {
      if (known[size] !== undefined) continue;
      const length = tensor.shape[axes.indexOf(size)];
      if (length !== undefined) known[size] = length;
    }
    if (input.element === "i32") checkIntegers(input, tensor);
  }
  const { B = 0, Lq = 0, Lk = 0, R = 0 } = known;
  const shape: CallShape = { B, Lq, Lk, R };
  checkRows(pipeline, inputs, shape);
  checkLayer(pipeline, inputs.layer);
  return shape;
}

/** What of a spec says that a tensor exists. */
function owner(exists: string): string {
  return exists === "dropout" ? "the weights" : "the mask";
}

function verb(exists: string): string {
  return exists === "dropout" ? "do" : "does";
}

function checkPresence(pipeline: Pipeline, inputs: AttentionInputs<ShapedTensor>): void {
  for (const input of INPUT_TENSORS) {
    const { key, name, exists, optional } = input;
    const given = inputs[key] !== undefined;
    const expected = tensorExists(pipeline, input);
    if (given && !expected) {
      throw new MtacError(
        INPUT_CODES.unexpectedInput,
        "input",
        `the input ${name} has no meaning here: ${owner(exists)} of "${pipeline.name}" ${verb(exists)} not say ${exists}`,
        { remedy: `leave it out, or add ${exists} to ${owner(exists)}` },
      );
    }
    if (given || !expected || optional) continue;
    const why =
      exists === "always" ? "every attention reads it" : `the mask of "${pipeline.name}" says ${exists}`;
    throw new MtacError(INPUT_CODES.missingInput, "input", `the input ${name} is missing: ${why}`, {
      remedy: `pass the tensor ${name}`,
    });
  }
}

/**
 * Checks the shape of a tensor that a call takes, as far as the sizes of the call are known.
 * @throws MtacError MTA603, MTA604
 */
export function checkShape(
  pipeline: Pipeline,
  { name, axes }: Pick<TensorResource, "name" | "axes">,
  { shape }: ShapedTensor,
  known: Partial<CallShape>,
): void {
  const sizes = axes.map((axis) => axisSizes(pipeline, axis, known));
  const fits = sizes.every((each, axis) => each === null || each.includes(shape[axis] ?? -1));
  if (shape.length !== axes.length || !fits) {
    const symbols = axes.join(", ");
    const expected = sizes.map((each, axis) =>
      each === null ? axes[axis] : [...new Set(each)].join(" or "),
    );
    throw new MtacError(
      INPUT_CODES.inputShape,
      "input",
      `the input ${name} has shape [${shape.join(", ")}]; expected ${[...new Set([`[${symbols}]`, `[${expected.join(", ")}]`])].join(" = ")}`,
      { remedy: `give ${name} in the layout [${symbols}], row-major` },
    );
  }
  // Only history may have no rows.
  if (!shape.some((size, axis) => size === 0 && axes[axis] !== "R")) return;
  throw new MtacError(
    INPUT_CODES.emptyInput,
    "input",
    `the input ${name} of shape [${shape.join(", ")}] is empty`,
    { remedy: "batch, query rows and keys are at least 1: skip the call" },
  );
}

function checkIntegers({ name }: InputResource, { data }: ShapedTensor): void {
  if (data === undefined || data instanceof Int32Array) return;
  for (let index = 0; index < data.length; index += 1) {
    const value = data[index] ?? 0;
    if ((value | 0) === value) continue;
    throw new MtacError(
      INPUT_CODES.notIntegers,
      "input",
      `the input ${name} holds ${value} at index ${index}: its values are 32-bit integers`,
      { remedy: "convert the tensor to int32" },
    );
  }
}

/** Lq ≤ Lk unless everything is visible, and R ≤ p0 for every batch entry (`semantics.md`, "Rows"). */
function checkRows(pipeline: Pipeline, inputs: AttentionInputs<ShapedTensor>, shape: CallShape): void {
  const { B, Lq, Lk, R } = shape;
  if (Lq > Lk && pipeline.mask.length > 0) {
    throw new MtacError(
      INPUT_CODES.moreQueriesThanKeys,
      "input",
      `q has ${Lq} rows but k only ${Lk}: the last query row stands at the last key, so the first would stand before key 0`,
      { remedy: "pass at least as many keys as query rows, or use mask none" },
    );
  }
  const tooLong = (first: number, where: string): MtacError =>
    new MtacError(
      INPUT_CODES.historyTooLong,
      "input",
      `q_history has ${R} rows but row 0 stands at position ${first}${where}: only ${Math.max(first, 0)} rows lie before it`,
      { remedy: "pass only query rows that exist, or raise positions" },
    );
  if (inputs.positions === undefined) {
    if (R > Math.max(Lk - Lq, 0)) throw tooLong(Lk - Lq, "");
    return;
  }
  const { data } = inputs.positions;
  if (data === undefined) return;
  for (let batch = 0; batch < B; batch += 1) {
    const first = data[batch] ?? 0;
    if (first + Lq > MAX_INTEGER - POSITION_ROOM)
      throw tooLarge(`positions holds ${first} for batch entry ${batch}`);
    if (first < 0 && pipeline.mask.length > 0)
      throw new MtacError(
        INPUT_CODES.moreQueriesThanKeys,
        "input",
        `positions holds ${first} for batch entry ${batch}: the first query row would stand before key 0`,
        { remedy: "give the position of the first query row among the keys, from 0, or use mask none" },
      );
    if (R > Math.max(first, 0)) throw tooLong(first, ` in batch entry ${batch}`);
  }
}

function checkLayer(pipeline: Pipeline, layer: number | undefined): void {
  const stage = pipeline.output.find((output) => output.kind === "norm" && output.depthScale);
  if (layer === undefined && stage === undefined) return;
  if (layer !== undefined && Number.isSafeInteger(layer) && layer >= 0) return;
  const given = layer === undefined ? "no layer is given" : `the layer is ${layer}`;
  throw new MtacError(
    INPUT_CODES.layer,
    "input",
    stage === undefined
      ? `${given}: not a layer number`
      : `${stage.name} of "${pipeline.name}" scales by depth, but ${given}`,
    { remedy: "pass the layer's number, a whole number from 0" },
  );
}

/**
 * Checks that exactly the pipeline's parameters are given, each in its shape.
 * @param remedy What to do about one that is missing.
 * @throws MtacError MTA611 … MTA613
 */
export function checkParameters(
  pipeline: Pipeline,
  shapes: ReadonlyMap<string, readonly number[]>,
  remedy = (name: string): string => `pass the tensor ${name}`,
): void {
  const names = pipeline.parameters.map((parameter) => parameter.name);
  for (const name of shapes.keys()) {
    if (names.includes(name)) continue;
    const free = names.filter((candidate) => !shapes.has(candidate));
    const meant = nearestName(name, free.length > 0 ? free : names);
    const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    throw new MtacError(
      INPUT_CODES.unexpectedParameter,
      "input",
      `"${pipeline.name}" has no parameter ${name}: ${known}`,
      { remedy: meant === null ? "leave it out" : `did you mean ${meant}?` },
    );
  }
  for (const { name, shape } of pipeline.parameters) {
    const given = shapes.get(name);
    const expected = `[${shape.join(", ")}]`;
    if (given === undefined) {
      throw new MtacError(
        INPUT_CODES.missingParameter,
        "input",
        `the parameter ${name} ${expected} is missing`,
        { remedy: remedy(name) },
      );
    }
    if (given.length === shape.length && given.every((size, axis) => size === shape[axis])) continue;
    throw new MtacError(
      INPUT_CODES.parameterShape,
      "input",
      `the parameter ${name} has shape [${given.join(", ")}]; expected ${expected}`,
      { remedy: "reshape it, or change the stage that it belongs to" },
    );
  }
}
