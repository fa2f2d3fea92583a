import {
  type ElementType,
  notFloatingPoint,
  parameterValues,
  type StoredTensor,
} from "../../runtime/safetensors/index.ts";
import { type ChosenTensor, chooseTensor, shapeFault, transposeLast } from "./choose.ts";
import { missingWeights, noSinglePrefix, wrongShapes } from "./errors.ts";
import { type Layout, layoutOf } from "./layouts.ts";
import { type LeftTensor, leftTensors } from "./left.ts";
import { findPrefix, LAYER } from "./locate.ts";
import { checkRenamings, type Renaming } from "./renaming.ts";
import { type AttentionSlot, sourcesOf } from "./sources.ts";
import { type StateDict, stateNames } from "./state.ts";

export interface ConversionRequest {
  /** All layers of a stack, or one attention. */
  readonly slots: readonly AttentionSlot[];
  readonly stack: boolean;
  readonly layout: Layout | null;
  readonly renamings: readonly Renaming[];
  /** What stands before the tensors' names, `{layer}` for the number; null: found by itself. */
  readonly prefix: string | null;
}

/** A parameter with the tensor that it was made of. */
export interface MappedTensor {
  readonly parameter: string;
  readonly from: string;
  readonly shape: readonly number[];
  /** As it was stored. */
  readonly dtype: ElementType;
  readonly transposed: boolean;
}

export interface Conversion {
  /** Parameters as F32, named as mtac names them. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly prefix: string;
  readonly mapped: readonly MappedTensor[];
  readonly left: readonly LeftTensor[];
}

/**
 * Takes an attention's parameters, or those of a whole stack, out of a state dict: each is found by its name, checked, transposed where it is
 * stored otherwise, and converted to F32.
 * @throws MtacError MTA662 (element type), MTA945 … MTA949
 */
export function convertState(state: StateDict, request: ConversionRequest): Conversion {
  const { slots, layout, renamings, stack } = request;
  const names = stateNames(state);
  checkRenamings(
    renamings,
    new Set(slots.flatMap(({ pipeline }) => pipeline.parameters.map(({ name }) => name))),
  );
  const wanted = slots.map((slot) => ({ ...slot, parameters: sourcesOf(slot.pipeline, layout, renamings) }));
  const hint = otherLayout(names.keys(), layout);
  if (stack && request.prefix?.includes(LAYER) === false && renamings.length === 0)
    throw noSinglePrefix(
      `\`--prefix ${request.prefix}\` is the same for every layer`,
      `write ${LAYER} where the layer's number stands: \`--prefix layers.${LAYER}.attention.\``,
    );
  const prefix = request.prefix ?? findPrefix(state.file, names, wanted, stack, hint);
  const chosen = wanted.flatMap(({ parameters, target, layer }) =>
    parameters.map((sourced) => chooseTensor(state.file, names, sourced, { prefix, layer, target })),
  );
  const missing = chosen.filter(({ from }) => !names.has(from));
  if (missing.length > 0)
    throw missingWeights(
      state.file,
      missing.map(({ from, target }) => (from === target ? from : `${from}, which is ${target}`)),
      hint ??
        (request.prefix !== null && missing.length === chosen.length
          ? `none of them begins with ${prefix}: without \`--prefix\` it is looked for`
          : "take the stage out of the spec, or name its tensor with `--map from=to`"),
    );
  const faults = chosen.flatMap((each) => shapeFault(state, each) ?? []);
  if (faults.length > 0) throw wrongShapes(state.file, faults);
  const used = new Set(chosen.map(({ from }) => from));
  return {
    tensors: new Map(chosen.map((each) => [each.target, parameterOf(state, each)])),
    prefix,
    mapped: chosen.map(({ from, target, shape, transpose }) => ({
      parameter: target,
      from,
      shape,
      dtype: state.tensors.get(from)?.dtype ?? "F32",
      transposed: transpose,
    })),
    left: leftTensors(state, slots, layout, prefix, used),
  };
}

function parameterOf(state: StateDict, { from, transpose, shape }: ChosenTensor): StoredTensor {
  const tensor = state.tensors.get(from);
  if (tensor === undefined) throw notFloatingPoint(state.file, from, state.foreign.get(from) ?? "unknown");
  const values = parameterValues(state.file, from, tensor);
  return { dtype: "F32", shape, data: transpose ? transposeLast(values, shape) : values };
}

/** What to do where no layout is given, and the tensors are named as one names them. */
function otherLayout(names: Iterable<string>, layout: Layout | null): string | null {
  if (layout !== null) return null;
  for (const name of names) {
    const known = layoutOf(name);
    if (known !== null)
      return `they are named as ${known.title} has them: \`mtac weights SPEC STATE --layout ${known.name} --output W.safetensors\` converts them`;
  }
  return null;
}
