import {
  checkInputs,
  checkParameters,
  type Float64Tensor,
  INPUT_CODES,
  INPUT_TENSORS,
  MtacError,
  makeInputs,
  nearestName,
  type Pipeline,
  roundTo,
} from "../../runtime/contract/index.ts";
import {
  type ElementType,
  fromValues,
  parseSafetensors,
  type StoredTensor,
  toFloat64Tensor,
  writeSafetensors,
} from "../../runtime/safetensors/index.ts";
import { writeAtomically } from "../files/atomic-write.ts";
import { fileSource } from "../files/file-source.ts";
import { type Conversion, convertState, layoutOf, type StateDict } from "../weights/index.ts";
import type { AttentionCall } from "./request.ts";

const FLOATS: readonly ElementType[] = ["F32", "F16", "BF16"];
const INTEGERS: readonly ElementType[] = ["I32", "I64"];

/** Inputs by their names in files, with the element types that they may have there. */
const INPUT_TYPES: ReadonlyMap<string, readonly ElementType[]> = new Map([
  ...INPUT_TENSORS.map(({ name, element }) => [name, element === "i32" ? INTEGERS : FLOATS] as const),
  ["d_o", FLOATS],
]);

/**
 * Reads a call from a safetensors file and checks all of it: names, element types, shapes.
 * @throws MtacError MTA6xx, MTA905, MTA913 … MTA915
 */
export function readCall(
  path: string,
  pipeline: Pipeline,
  options: {
    readonly layer: number | undefined;
    readonly grad: boolean;
    /** Parameters from another file; null: they stand beside the inputs. */
    readonly weights: Conversion | null;
  },
): AttentionCall {
  const stored = parseSafetensors(fileSource(path), path);
  checkNames(path, stored, pipeline);
  const { storage } = pipeline;
  const values = (name: string): Float64Tensor | undefined => {
    const tensor = stored.get(name);
    return tensor === undefined ? undefined : toFloat64Tensor(name, tensor);
  };
  const rounded = (name: string): Float64Tensor | undefined => {
    const tensor = values(name);
    return tensor === undefined ? undefined : { ...tensor, data: roundTo(storage, tensor.data) };
  };
  const { layer, grad, weights } = options;
  const required = (name: string): Float64Tensor => {
    const tensor = rounded(name);
    if (tensor === undefined) throw missingTensor(path, name);
    return tensor;
  };
  const inputs = makeInputs(({ name, element, exists, optional }) => {
    if (element !== "storage") return values(name);
    return exists === "always" && !optional ? required(name) : rounded(name);
  }, layer);
  const parameters = new Map<string, Float64Tensor>();
  for (const { name } of pipeline.parameters) {
    const tensor = weights?.tensors.get(name) ?? stored.get(name);
    if (tensor !== undefined) parameters.set(name, toFloat64Tensor(name, tensor));
  }
  checkInputs(pipeline, inputs);
  checkParameters(
    pipeline,
    new Map([...parameters].map(([name, { shape }]) => [name, shape])),
    (name) => `put ${name} into ${path}, or give the file of all parameters as \`--weights\``,
  );
  return { inputs, parameters, dO: grad ? required("d_o") : null };
}

/** Names of tensors that hold NaN or infinite values once rounded; −∞ in `bias` is legal and means hidden. */
export function nonFiniteTensors({ inputs, parameters, dO }: AttentionCall): readonly string[] {
  const named: (readonly [string, Float64Tensor | null | undefined])[] = [
    ...INPUT_TENSORS.filter(({ element }) => element === "storage").map(
      ({ key, name }) => [name, inputs[key]] as const,
    ),
    ["d_o", dO],
    ...parameters,
  ];
  const names = named.flatMap(([name, tensor]) =>
    tensor !== undefined && tensor !== null && !tensor.data.every(Number.isFinite) ? [name] : [],
  );
  const legal = (value: number): boolean => Number.isFinite(value) || value === Number.NEGATIVE_INFINITY;
  const { bias } = inputs;
  if (bias !== undefined && !bias.data.every(legal)) names.push("bias");
  return names;
}

/**
 * Writes results as F32.
 * @throws MtacError MTA906
 */
export function writeTensors(path: string, tensors: ReadonlyMap<string, Float64Tensor>): void {
  const stored = [...tensors].map(([name, { shape, data }]): [string, StoredTensor] => [
    name,
    fromValues("F32", shape, data),
  ]);
  writeAtomically(path, writeSafetensors(new Map(stored)));
}

/**
 * Reads a model's state dict, whatever types its tensors have.
 * @throws MtacError MTA651 … MTA659, MTA905
 */
export function readState(path: string): StateDict {
  const foreign = new Map<string, string>();
  return { file: path, tensors: parseSafetensors(fileSource(path), path, { foreign }), foreign };
}

/**
 * Reads an attention's parameters from a file that may hold a whole model's; with a layer, that layer's.
 * @throws MtacError as `readState` and `convertState`
 */
export function readWeights(path: string, pipeline: Pipeline, layer: number | undefined): Conversion {
  const slots = [{ pipeline, layer: layer ?? null, target: "" }];
  return convertState(readState(path), { slots, stack: false, layout: null, renamings: [], prefix: null });
}

function checkNames(path: string, stored: ReadonlyMap<string, StoredTensor>, pipeline: Pipeline): void {
  const parameters = pipeline.parameters.map(({ name }) => name);
  for (const [name, { dtype }] of stored) {
    const types = INPUT_TYPES.get(name) ?? (parameters.includes(name) ? FLOATS : null);
    if (types === null) {
      const known = [...INPUT_TYPES.keys(), ...parameters];
      const free = known.filter((candidate) => !stored.has(candidate));
      throw unknownTensor(path, name, pipeline.name, {
        meant: nearestName(name, free),
        layout: layoutOf(name)?.name ?? null,
        parameters,
      });
    }
    if (!types.includes(dtype)) throw wrongElementType(path, name, dtype, types);
  }
}

function missingTensor(path: string, name: string): MtacError {
  return new MtacError(INPUT_CODES.missingInput, "input", `${path} lacks the tensor ${name}`, {
    remedy: name === "d_o" ? "`--grad` needs the gradient of o" : `add the tensor ${name}`,
  });
}

function unknownTensor(
  path: string,
  name: string,
  attention: string,
  known: {
    /** What the name most likely stands for. */
    readonly meant: string | null;
    /** The layout that has tensors of this name. */
    readonly layout: string | null;
    readonly parameters: readonly string[];
  },
): MtacError {
  const { meant, layout, parameters } = known;
  const list = parameters.length === 0 ? "no parameters" : `the parameters ${parameters.join(", ")}`;
  return new MtacError(
    "MTA913",
    "input",
    `${path}: the tensor ${name} is neither an input nor a parameter of \`${attention}\``,
    {
      remedy:
        layout !== null
          ? `it is the authors' name for a parameter: \`mtac weights SPEC ${path} --layout ${layout} --output W.safetensors\` converts such files, and \`--weights W.safetensors\` takes the parameters from there`
          : meant !== null
            ? `did you mean ${meant}? rename the tensor`
            : `rename it, or leave it out (whole state dicts go with \`--weights\`); \`${attention}\` has ${list}`,
    },
  );
}

function wrongElementType(path: string, name: string, type: string, expected: readonly string[]): MtacError {
  return new MtacError("MTA914", "input", `${path}: the tensor ${name} has type ${type}`, {
    remedy: `store it as ${expected.join(", ").replace(/, ([^,]*)$/, " or $1")}`,
  });
}
