import {
  axisSizes,
  D_O,
  elementCount,
  GRADIENT_TENSORS,
  hasMask,
  INPUT_TENSORS,
  type InputKey,
  OUTPUT_TENSORS,
  type Pipeline,
  type TensorResource,
  tensorExists,
  usesLayer,
} from "../../../runtime/contract/index.ts";
import type { LauncherFlavour } from "./flavour.ts";
import { type EmittedNames, emittedNames } from "./names.ts";
import { describeParameter } from "./parameter-doc.ts";

/** A stack whose layers name modules: equal attentions name the same one, and so share its kernels. */
export interface EmittedStack {
  readonly name: string;
  /** The pipeline of each layer. */
  readonly layers: readonly Pipeline[];
}

/** What an input is for, beside its shape. */
const MEANINGS: Readonly<Record<InputKey, string>> = {
  q: "",
  k: "",
  v: "",
  qHistory: ": the query rows just before row 0.",
  documents: ": the document of each key; negative ones are hidden.",
  lengths: ": rows and keys that are filled.",
  positions: ": absolute position of row 0. Lk − Lq if not given.",
  bias: ": added to the scores; −∞ hides a pair.",
  dropoutSeed: ": in training, which weights are dropped; none, if not given.",
};

/** Functions of a module of its own, or of the one that declares all of a spec, where their names are unique. */
function functionsOf({ create, initParameters }: EmittedNames, declared: boolean) {
  return declared ? { create, initParameters } : { create: "create", initParameters: "initParameters" };
}

/** A tensor of calls as their types show it. */
function tensorModel(pipeline: Pipeline, { key, element, axes }: TensorResource) {
  const sizes = axes.map((axis) => ({ axis, sizes: axisSizes(pipeline, axis, {}) ?? [] }));
  const shape = sizes.map((each) => (each.sizes.length === 0 ? each.axis : each.sizes.join(" or ")));
  const stored = element === "storage" ? pipeline.storage : element;
  return {
    key,
    element: stored,
    sizes: sizes.map((each) => (each.sizes.length === 1 ? each.sizes.join() : "number")).join(", "),
    shape: `${stored} [${shape.join(", ")}]`,
  };
}

/** What is printed of a launcher. */
interface Printed {
  /** For declarations: without bodies. */
  readonly declared: boolean;
  /** Whether there are gradients. */
  readonly grad: boolean;
}

/** What an attention is printed from. */
export function attentionModel(pipeline: Pipeline, flavour: LauncherFlavour, { declared, grad }: Printed) {
  const { name, parameters } = pipeline;
  const names = emittedNames(name);
  return {
    name,
    names,
    functions: functionsOf(names, declared),
    flavour,
    declared,
    parameters: parameters.map((parameter) => ({
      key: JSON.stringify(parameter.name),
      sizes: parameter.shape.join(", "),
      doc: describeParameter(parameter, pipeline),
    })),
    inputs: INPUT_TENSORS.filter((tensor) => tensorExists(pipeline, tensor)).map((tensor) => ({
      ...tensorModel(pipeline, tensor),
      optional: tensor.optional,
      meaning: MEANINGS[tensor.key],
    })),
    layer: usesLayer(pipeline),
    outputs: OUTPUT_TENSORS.map((tensor) => ({
      ...tensorModel(pipeline, tensor),
      exists: tensorExists(pipeline, tensor),
    })),
    grad: grad ? gradientModel(pipeline) : null,
  };
}

/** When there is no gradient that a call may lack. */
const ABSENT = {
  dQHistory: "null where the call has no history",
  dBias: "summed up along axes of one element; null where it was not asked for",
} as const;

/** Gradients of an attention, and what they are of. */
function gradientModel(pipeline: Pipeline) {
  return {
    dO: tensorModel(pipeline, D_O),
    tensors: GRADIENT_TENSORS.filter((tensor) => tensorExists(pipeline, tensor)).map((tensor) => ({
      ...tensorModel(pipeline, tensor),
      absent: tensor.optional ? ABSENT[tensor.key] : "",
    })),
    bias: hasMask(pipeline, "bias"),
    words: pipeline.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
  };
}

/** What a stack is printed from. */
export function stackModel(
  { name, layers }: EmittedStack,
  flavour: LauncherFlavour,
  { declared, grad }: Printed,
) {
  const names = emittedNames(name);
  return {
    name,
    names,
    functions: functionsOf(names, declared),
    flavour,
    declared,
    grad,
    layers: layers.map((pipeline, number) => {
      const layer = emittedNames(pipeline.name);
      return {
        number,
        names: layer,
        // Declarations hold the attentions beside the stacks.
        scope: declared ? "" : `${layer.namespace}.`,
        takesLayer: usesLayer(pipeline),
        seed: pipeline.parameters.length === 0 ? "" : number === 0 ? "seed" : `seed + ${number}`,
      };
    }),
    count: layers.length,
    seeded: layers.some(({ parameters }) => parameters.length > 0),
  };
}
