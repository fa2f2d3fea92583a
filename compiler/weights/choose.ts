import { severalSources } from "./errors.ts";
import { type TensorNames, tensorName } from "./locate.ts";
import type { Source, SourcedParameter } from "./sources.ts";
import type { StateDict } from "./state.ts";

/** Where one attention's tensors are looked for, and what stands before its parameters in the result. */
export interface Place {
  readonly prefix: string;
  readonly layer: number | null;
  readonly target: string;
}

/** The tensor of a state dict that becomes a parameter; where there is none, the name of the one that was looked for first. */
export interface ChosenTensor {
  readonly from: string;
  readonly transpose: boolean;
  /** The parameter's name and shape. */
  readonly target: string;
  readonly shape: readonly number[];
}

/** @throws MtacError MTA949: several tensors of the state dict could be the parameter. */
export function chooseTensor(
  file: string,
  names: TensorNames,
  { parameter, sources }: SourcedParameter,
  { prefix, layer, target }: Place,
): ChosenTensor {
  const of = (source: Source): ChosenTensor => ({
    from: tensorName(names, prefix, source, layer),
    transpose: source.transpose,
    target: target + parameter.name,
    shape: parameter.shape,
  });
  const candidates = sources.map(of);
  const there = candidates.filter(({ from }) => names.has(from));
  if (there.length > 1)
    throw severalSources(
      file,
      parameter.name,
      there.map(({ from }) => from),
    );
  return there[0] ?? candidates[0] ?? of({ name: parameter.name, whole: false, transpose: false });
}

/** Why a tensor cannot be the parameter, or null. Axes of size 1 at the front make no difference. */
export function shapeFault(
  { tensors }: StateDict,
  { from, transpose, target, shape }: ChosenTensor,
): string | null {
  const tensor = tensors.get(from);
  if (tensor === undefined) return null;
  const stored = transpose ? transposedShape(shape) : shape;
  const [found, expected] = [withoutLeadingOnes(tensor.shape), withoutLeadingOnes(stored)];
  if (found.length === expected.length && found.every((size, axis) => size === expected[axis])) return null;
  const shown = transpose ? `[${stored.join(", ")}] (to be transposed)` : `[${stored.join(", ")}]`;
  return `${from} has shape [${tensor.shape.join(", ")}], but ${target} needs ${shown}`;
}

/** Row-major values with their last two axes in each other's place. @param shape The result's. */
export function transposeLast(values: Float32Array, shape: readonly number[]): Float32Array {
  const [rows = 1, columns = 1] = shape.slice(-2);
  const result = new Float32Array(values.length);
  for (let matrix = 0; matrix < values.length; matrix += rows * columns)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        result[matrix + row * columns + column] = values[matrix + column * rows + row] ?? 0;
  return result;
}

function transposedShape(shape: readonly number[]): readonly number[] {
  const [rows, columns] = shape.slice(-2);
  return rows === undefined || columns === undefined ? shape : [...shape.slice(0, -2), columns, rows];
}

function withoutLeadingOnes(shape: readonly number[]): readonly number[] {
  const first = shape.findIndex((size) => size !== 1);
  return first < 0 ? [] : shape.slice(first);
}
