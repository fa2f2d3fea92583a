import type { Parameter, Pipeline } from "../../runtime/contract/index.ts";
import { hasDropout, hasMask, usesLayer } from "../../runtime/contract/pipeline.ts";
import type { EmittedStack, Provenance } from "../emit/launcher/index.ts";
import { pascalCase } from "../emit/launcher/names.ts";
import { describeParameter } from "../emit/launcher/parameter-doc.ts";
import { fileName, specPlace } from "../emit/provenance.ts";
import { WIDTH, wrapAt } from "../emit/text/break-line.ts";
import { CLASSES, KEYWORDS, MODULES } from "./taken-names.ts";

/** An argument of a function. */
interface Argument {
  readonly name: string;
  readonly type: string;
  readonly text: string;
}

/** A name that Python takes, and that nothing else has: `lambda` becomes `lambda_`. */
function pythonName(word: string, ...taken: readonly ReadonlySet<string>[]): string {
  const name = word.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");
  return [KEYWORDS, ...taken].some((each) => each.has(name)) ? `${name}_` : name;
}

function className(name: string): string {
  return pythonName(pascalCase(name), CLASSES);
}

/** What templates of a package are filled with. */
export function packageModel(
  pipelines: readonly Pipeline[],
  stacks: readonly EmittedStack[],
  provenance: Provenance,
  hash: string,
  {
    cuda,
    kernelBuilder,
    repository,
  }: { readonly cuda: boolean; readonly kernelBuilder: boolean; readonly repository?: string | undefined },
) {
  const name = pythonName(fileName(provenance.spec).replace(/\.\w+$/, ""), MODULES);
  const attentions = pipelines.map(attentionModel);
  const stackModels = stacks.map((stack) => ({
    name: stack.name,
    class: className(stack.name),
    count: stack.layers.length,
    layers: stack.layers.map((pipeline, index) => ({
      class: className(pipeline.name),
      usesLayer: usesLayer(pipeline),
      index,
    })),
  }));
  const layers = [...attentions, ...stackModels]
    .map((each) => ({ class: each.class }))
    .sort((a, b) => (a.class < b.class ? -1 : 1));
  const functions = attentions.flatMap((each) => [each.function, `${each.function}_with_lse`]).sort();
  const list = [...attentions, ...stackModels].map((each) => each.name).join(", ");
  const [first] = attentions;
  if (first === undefined) throw new RangeError("a package has at least one attention");
  return {
    version: provenance.version,
    // Texts of Python hold it, where these would end a text or begin an escape.
    spec: specPlace(provenance.spec).replaceAll('"', "'").replaceAll("\\", "/"),
    hash,
    cuda,
    namespace: `mtac_${hash}`,
    package: name,
    kernelBuilder,
    kernel: name.replaceAll("_", "-"),
    repository: repository ?? `OWNER/${name.replaceAll("_", "-")}`,
    // Kernels on the Hub have a major version: a new one where calls change.
    major: provenance.version.replace(/\..*$/, ""),
    project: name.replaceAll("_", "-").replace(/^-+|-+$/g, ""),
    list,
    listLines: wrapAt(`It has ${list}.`.split(" "), WIDTH),
    attentions,
    stacks: stackModels,
    layers,
    functions,
    exports: [
      "HeadParallel",
      "MtacError",
      "context_parallel",
      ...(kernelBuilder ? ["functional", "layers"] : []),
      ...layers.map((each) => each.class),
      ...functions,
    ].sort(),
    first,
  };
}

function attentionModel(pipeline: Pipeline) {
  const { name, heads, kvHeads, headDim, valueDim, normalize, source } = pipeline;
  const inputs = inputsOf(pipeline);
  return {
    name,
    line: source?.line ?? 1,
    function: pythonName(name),
    constant: `${pythonName(name).toUpperCase()}_ATTENTION`,
    class: className(name),
    testClass: `${className(name)}Tests`,
    heads,
    kvHeads,
    headDim,
    valueDim,
    grouped: heads !== kvHeads,
    share: heads / kvHeads,
    softmax: normalize === "softmax",
    usesLayer: usesLayer(pipeline),
    parameters: pipeline.parameters.map((parameter) => parameterModel(parameter, pipeline)),
    inputs,
    ownInputs: inputs.filter((each) => each.name !== "layer").map(ofLayer),
    example: inputs
      .filter(({ name: input, type }) => type === "Tensor" && input !== "layer")
      .map(({ name: input }) => `, ${input}=${input}`)
      .join(""),
  };
}

function parameterModel(parameter: Parameter, pipeline: Pipeline) {
  const { name } = parameter;
  return { name, argument: name.replaceAll(".", "_"), text: describeParameter(parameter, pipeline) };
}

const DROPOUT_SEED = { name: "dropout_seed", type: "Tensor | int | None = None" } as const;

/** An argument as modules take it: they know whether they are trained. */
function ofLayer(argument: Argument): Argument {
  if (argument.name !== DROPOUT_SEED.name) return argument;
  const text =
    "Which weights training drops: int32 [2], or a number (default: drawn). Evaluation ignores it.";
  return { ...argument, text };
}

/** What a call takes beside q, k, v and the parameters: what the mask needs has no default. */
function inputsOf(pipeline: Pipeline): readonly Argument[] {
  const needed = (name: string, text: string): Argument => ({ name, type: "Tensor", text });
  const optional = (name: string, text: string): Argument => ({ name, type: "Tensor | None = None", text });
  const bias = "[B or 1, H or 1, R + Lq, Lk], float32, added to the scores; minus infinity hides.";
  return [
    ...(hasMask(pipeline, "bias") ? [needed("bias", bias)] : []),
    ...(hasMask(pipeline, "documents")
      ? [needed("documents", "[B, Lk], integers: the document of each key, negative for none.")]
      : []),
    ...(hasMask(pipeline, "lengths")
      ? [needed("lengths", "[B], integers: how many rows and keys of each batch entry count.")]
      : []),
    ...(usesLayer(pipeline)
      ? [{ name: "layer", type: "int", text: "The layer's number, from 0: the norm scales by depth." }]
      : []),
    optional(
      "q_history",
      `[B, ${pipeline.heads}, R, ${pipeline.headDim}], the R query rows just before row 0.`,
    ),
    optional("positions", "[B], integers: the position of row 0 among the keys; Lk - Lq, if not given."),
    ...(hasDropout(pipeline)
      ? [
          {
            ...DROPOUT_SEED,
            text: "Which weights training drops: int32 [2], or a number of 64 bits; none, if not given.",
          },
        ]
      : []),
  ];
}
