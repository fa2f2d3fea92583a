import type {
  ClassDeclarationStructure,
  FunctionDeclarationStructure,
  ImportDeclarationStructure,
  InterfaceDeclarationStructure,
  MethodSignatureStructure,
  StatementStructures,
} from "ts-morph";
import { type Pipeline, usesLayer } from "../../../runtime/contract/index.ts";
import type { LauncherFlavour } from "./flavour.ts";
import { docText } from "./line-width.ts";
import { type EmittedNames, emittedNames } from "./names.ts";
import { StructureKind, VariableDeclarationKind } from "./ts-morph.ts";

/** A stack whose layers name modules: equal attentions name the same one, and so share its kernels. */
export interface EmittedStack {
  readonly name: string;
  /** The pipeline of each layer. */
  readonly layers: readonly Pipeline[];
}

interface LayerKind {
  readonly pipeline: Pipeline;
  readonly names: EmittedNames;
  readonly layers: readonly number[];
}

/** The launcher module of one stack, as ts-morph structures. */
export function stackModule(
  stack: EmittedStack,
  flavour: LauncherFlavour,
): readonly (StatementStructures | string)[] {
  const names = emittedNames(stack.name);
  const kinds = layerKinds(stack);
  return [
    runtimeImport(flavour),
    ...kinds.map(
      (kind): ImportDeclarationStructure => ({
        kind: StructureKind.ImportDeclaration,
        moduleSpecifier: `./${kind.pipeline.name}${flavour.suffix}.js`,
        namespaceImport: kind.names.namespace,
      }),
    ),
    layerInterface(flavour),
    ...tupleTypes(stack, ({ namespace }, type) => `${namespace}.${type}`),
    launcherClass(stack, names),
    createFunction(stack, names, flavour),
    {
      kind: StructureKind.VariableStatement,
      isExported: true,
      declarationKind: VariableDeclarationKind.Const,
      docs: [docText("`create` under a name of its own.")],
      declarations: [{ name: names.create, initializer: "create" }],
    },
    initFunction(stack, names),
    wrapFunction(flavour),
  ];
}

function runtimeImport(flavour: LauncherFlavour): ImportDeclarationStructure {
  const { device, options, outputs, result } = flavour;
  return {
    kind: StructureKind.ImportDeclaration,
    isTypeOnly: true,
    moduleSpecifier: flavour.runtime,
    namedImports: [
      outputs,
      ...(flavour.deviceIsGlobal ? [] : [device]),
      ...(flavour.encodes ? ["EncodedCall"] : []),
      result,
      options,
    ].sort(),
  };
}

function layerKinds({ layers }: EmittedStack): readonly LayerKind[] {
  const kinds = new Map<string, { pipeline: Pipeline; names: EmittedNames; layers: number[] }>();
  layers.forEach((pipeline, layer) => {
    const kind = kinds.get(pipeline.name);
    if (kind === undefined)
      kinds.set(pipeline.name, { pipeline, names: emittedNames(pipeline.name), layers: [layer] });
    else kind.layers.push(layer);
  });
  return [...kinds.values()];
}

function layerInterface({ encodes, outputs, result }: LauncherFlavour): InterfaceDeclarationStructure {
  const given = [
    { name: "inputs", type: "Inputs" },
    { name: "outputs", type: outputs, hasQuestionToken: true },
  ];
  const encode: MethodSignatureStructure = {
    kind: StructureKind.MethodSignature,
    name: "encode",
    docs: [docText("Records the attention into a command encoder that has no pass open.")],
    parameters: [{ name: "encoder", type: "GPUCommandEncoder" }, ...given],
    returnType: "EncodedCall<Result>",
  };
  return {
    kind: StructureKind.Interface,
    isExported: true,
    docs: [docText("One layer of the stack; it knows its number, which `depth_scale` needs.")],
    name: "StackLayer",
    typeParameters: [{ name: "Inputs" }, { name: "Result", constraint: result }],
    properties: [{ name: "layer", type: "number", isReadonly: true }],
    methods: [
      {
        name: "forward",
        docs: [docText("Computes the attention and waits for it.")],
        parameters: given,
        returnType: "Promise<Result>",
      },
      ...(encodes ? [encode] : []),
      { name: "destroy", docs: [docText("Frees the layer's parameters.")], returnType: "void" },
    ],
  };
}

/**
 * The types of all layers' parameters and launchers.
 *
 * @param qualify How a type of an attention's module is named here.
 */
export function tupleTypes(
  stack: EmittedStack,
  qualify: (names: EmittedNames, type: string) => string,
): readonly [parameters: string, layers: string] {
  const names = emittedNames(stack.name);
  return [
    tupleType(stack, names.parameters, "The parameters of every layer.", (each) =>
      qualify(each, each.parameters),
    ),
    tupleType(stack, `${names.launcher}Layers`, "Every layer's launcher.", (each, pipeline) => {
      const inputs = qualify(each, each.inputs);
      const given = usesLayer(pipeline) ? `Omit<${inputs}, "layer">` : inputs;
      return `StackLayer<${given}, ${qualify(each, each.result)}>`;
    }),
  ];
}

function tupleType(
  { layers }: EmittedStack,
  name: string,
  doc: string,
  element: (names: EmittedNames, pipeline: Pipeline) => string,
): string {
  const elements = layers.map(
    (pipeline, layer) => `  /* ${layer} */ ${element(emittedNames(pipeline.name), pipeline)},`,
  );
  return `\n/** ${doc} */\nexport type ${name} = readonly [\n${elements.join("\n")}\n];\n`;
}

function launcherClass(stack: EmittedStack, names: EmittedNames): ClassDeclarationStructure {
  const layersType = `${names.launcher}Layers`;
  return {
    kind: StructureKind.Class,
    isExported: true,
    docs: [
      docText(`The ${stack.layers.length} layers of \`${stack.name}\` on one device. Made by \`create\`.`),
    ],
    name: names.launcher,
    properties: [{ name: "layers", type: layersType, isReadonly: true }],
    ctors: [{ parameters: [{ name: "layers", type: layersType }], statements: ["this.layers = layers;"] }],
    methods: [
      {
        name: "destroy",
        docs: [docText("Frees the parameters of all layers.")],
        returnType: "void",
        statements: ["for (const layer of this.layers) layer.destroy();"],
      },
    ],
  };
}

function createFunction(
  stack: EmittedStack,
  names: EmittedNames,
  { device, deviceDoc, options }: LauncherFlavour,
): FunctionDeclarationStructure {
  const made = stack.layers.map((pipeline, layer) => {
    const { namespace } = emittedNames(pipeline.name);
    const launcher = `await ${namespace}.create(device, parameters[${layer}], options)`;
    return `  layerOf(${layer}, ${launcher}, (inputs) => ${usesLayer(pipeline) ? `({ ...inputs, layer: ${layer} })` : "inputs"}),`;
  });
  return {
    kind: StructureKind.Function,
    isExported: true,
    isAsync: true,
    name: "create",
    docs: [
      docText(
        `Makes the launchers of all layers. Layers with equal attentions share their kernels.\n\n@param device ${deviceDoc}`,
      ),
    ],
    parameters: [
      { name: "device", type: device },
      { name: "parameters", type: names.parameters },
      { name: "options", type: options, initializer: "{}" },
    ],
    returnType: `Promise<${names.launcher}>`,
    statements: [`return new ${names.launcher}([\n${made.join("\n")}\n]);`],
  };
}

function initFunction(stack: EmittedStack, names: EmittedNames): FunctionDeclarationStructure {
  const values = stack.layers.map((pipeline, layer) => {
    const { namespace } = emittedNames(pipeline.name);
    const seed = pipeline.parameters.length === 0 ? "" : layer === 0 ? "seed" : `seed + ${layer}`;
    return `  ${namespace}.initParameters(${seed}),`;
  });
  const seeded = stack.layers.some((pipeline) => pipeline.parameters.length > 0);
  return {
    kind: StructureKind.Function,
    isExported: true,
    name: "initParameters",
    docs: [
      docText(
        "Initial parameters of every layer, each from a seed of its own; the same seed gives the same ones.",
      ),
    ],
    parameters: [{ name: seeded ? "seed" : "_seed", type: "number" }],
    returnType: names.parameters,
    statements: [`return [\n${values.join("\n")}\n];`],
  };
}

/** Turns an attention's launcher into a layer's. */
function wrapFunction({ encodes, result }: LauncherFlavour): FunctionDeclarationStructure {
  const members = [
    "layer",
    "forward: (inputs, outputs) => launcher.forward(complete(inputs), outputs)",
    ...(encodes
      ? ["encode: (encoder, inputs, outputs) => launcher.encode(encoder, complete(inputs), outputs)"]
      : []),
    "destroy: () => launcher.destroy()",
  ];
  return {
    kind: StructureKind.Function,
    name: "layerOf",
    typeParameters: [{ name: "Given" }, { name: "Needed" }, { name: "Result", constraint: result }],
    parameters: [
      { name: "layer", type: "number" },
      { name: "launcher", type: 'Omit<StackLayer<Needed, Result>, "layer">' },
      { name: "complete", type: "(inputs: Given) => Needed" },
    ],
    returnType: "StackLayer<Given, Result>",
    statements: [`return {\n${members.map((member) => `  ${member},\n`).join("")}};`],
  };
}
