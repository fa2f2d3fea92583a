import type {
  ClassDeclarationStructure,
  FunctionDeclarationStructure,
  ImportDeclarationStructure,
  InterfaceDeclarationStructure,
  MethodDeclarationStructure,
  StatementStructures,
  TypeAliasDeclarationStructure,
  VariableStatementStructure,
} from "ts-morph";
import type { Pipeline } from "../../../runtime/contract/index.ts";
import type { LauncherFlavour } from "./flavour.ts";
import { inputProperties, tensorOf } from "./inputs.ts";
import { docText } from "./line-width.ts";
import { type EmittedNames, emittedNames } from "./names.ts";
import { describeParameter } from "./parameter-doc.ts";
import { StructureKind, VariableDeclarationKind } from "./ts-morph.ts";

/** The launcher module of one attention, as ts-morph structures. */
export function attentionModule(
  pipeline: Pipeline,
  flavour: LauncherFlavour,
): readonly StatementStructures[] {
  const names = emittedNames(pipeline.name);
  return [
    runtimeImport(pipeline, flavour),
    {
      kind: StructureKind.ImportDeclaration,
      moduleSpecifier: `./${pipeline.name}${flavour.suffix}.kernels.js`,
      namedImports: pipeline.parameters.length > 0 ? ["artifact", "pipeline"] : ["artifact"],
    },
    ...parameterTypes(pipeline, names),
    inputsInterface(pipeline, names, flavour),
    resultInterface(pipeline, names, flavour),
    launcherClass(pipeline, names, flavour),
    createFunction(pipeline, names, flavour),
    createAlias(names),
    ...initFunctions(pipeline, names),
  ];
}

function runtimeImport({ parameters }: Pipeline, flavour: LauncherFlavour): ImportDeclarationStructure {
  const { device, launcher, options, outputs, ownedTensor, result, tensor } = flavour;
  const types = [
    outputs,
    ...(flavour.deviceIsGlobal ? [] : [device]),
    tensor,
    ownedTensor,
    ...(flavour.encodes ? ["EncodedCall"] : []),
    result,
    launcher,
    options,
    "PrepareSize",
    "Timing",
  ].sort();
  return {
    kind: StructureKind.ImportDeclaration,
    moduleSpecifier: flavour.runtime,
    namedImports: [
      ...types.map((name) => ({
        name,
        isTypeOnly: true,
        // An attention called "cuda" exports a CudaLauncher.
        ...(name === launcher && name !== "Launcher" ? { alias: "Launcher" } : {}),
      })),
      // Under another name, so that an attention may be called "launcher".
      { name: flavour.createLauncher, alias: "launch" },
      ...(parameters.length > 0 ? [{ name: "initParameters", alias: "initialValues" }] : []),
    ],
  };
}

function parameterTypes(pipeline: Pipeline, names: EmittedNames): readonly StatementStructures[] {
  if (pipeline.parameters.length === 0) {
    const none: TypeAliasDeclarationStructure = {
      kind: StructureKind.TypeAlias,
      isExported: true,
      docs: [docText(`\`${pipeline.name}\` has no parameters.`)],
      name: names.parameters,
      type: "Readonly<Record<string, never>>",
    };
    return [none];
  }
  const tensor: InterfaceDeclarationStructure = {
    kind: StructureKind.Interface,
    isExported: true,
    docs: [docText("A parameter on the host; `data` holds one value for each element of `shape`.")],
    name: "ParameterTensor",
    typeParameters: [{ name: "Shape", constraint: "readonly number[]" }],
    properties: [
      { name: "shape", type: "Shape", isReadonly: true },
      { name: "data", type: "Float32Array", isReadonly: true },
    ],
  };
  const parameters: InterfaceDeclarationStructure = {
    kind: StructureKind.Interface,
    isExported: true,
    docs: [
      docText(
        `Parameters of \`${pipeline.name}\`: f32, row-major, named as a PyTorch module would name them.`,
      ),
    ],
    name: names.parameters,
    properties: pipeline.parameters.map((parameter) => ({
      name: JSON.stringify(parameter.name),
      type: `ParameterTensor<readonly [${parameter.shape.join(", ")}]>`,
      isReadonly: true,
      docs: [docText(describeParameter(parameter, pipeline))],
    })),
  };
  return [tensor, parameters];
}

function inputsInterface(
  pipeline: Pipeline,
  names: EmittedNames,
  { runtime, tensor }: LauncherFlavour,
): InterfaceDeclarationStructure {
  return {
    kind: StructureKind.Interface,
    isExported: true,
    docs: [
      docText(
        `Inputs of one call: B batch entries, Lq query rows, Lk keys. Tensors live on the launcher's device; \`upload\` of \`${runtime}\` puts them there.`,
      ),
    ],
    name: names.inputs,
    properties: inputProperties(pipeline, tensor).map(({ name, type, optional, doc }) => ({
      name,
      type,
      hasQuestionToken: optional,
      isReadonly: true,
      docs: [docText(doc)],
    })),
  };
}

function resultInterface(
  { heads, valueDim, storage, normalize }: Pipeline,
  names: EmittedNames,
  { ownedTensor, result }: LauncherFlavour,
): InterfaceDeclarationStructure {
  const o = tensorOf(ownedTensor, storage, [null, heads, null, valueDim]);
  const lse = normalize === "softmax" ? tensorOf(ownedTensor, "f32", [null, heads, null]) : "null";
  return {
    kind: StructureKind.Interface,
    isExported: true,
    docs: [docText("What a call gives.")],
    name: names.result,
    extends: [result],
    properties: [
      { name: "o", type: o, isReadonly: true },
      { name: "lse", type: lse, isReadonly: true },
    ],
  };
}

function launcherClass(
  pipeline: Pipeline,
  names: EmittedNames,
  flavour: LauncherFlavour,
): ClassDeclarationStructure {
  return {
    kind: StructureKind.Class,
    isExported: true,
    docs: [docText(`\`${pipeline.name}\` on one device, with its parameters. Made by \`create\`.`)],
    name: names.launcher,
    properties: [
      {
        name: "launcher",
        type: "Launcher",
        isReadonly: true,
        docs: [docText("What this one wraps: its plan, its device, its host copies of the parameters.")],
      },
    ],
    ctors: [
      { parameters: [{ name: "launcher", type: "Launcher" }], statements: ["this.launcher = launcher;"] },
    ],
    methods: [
      ...callMethods(pipeline, names, flavour),
      ...parameterMethods(pipeline, names),
      lifetimeRebuild(names, flavour),
      lifetimeDestroy(),
    ],
  };
}

function callMethods(
  { heads, valueDim, storage, normalize }: Pipeline,
  names: EmittedNames,
  { encodes, outputs, ownerDoc, prepareDoc }: LauncherFlavour,
): MethodDeclarationStructure[] {
  const lse =
    normalize === "softmax" ? `; \`lse\`: f32 [B, ${heads}, Lq]` : "; `lse` is null, as sparsemax has none";
  const encode: MethodDeclarationStructure = {
    kind: StructureKind.Method,
    name: "encode",
    docs: [
      docText(
        "Records the attention into a command encoder that has no pass open; `prepare` first what its size needs. Call `release()` on the result once the commands are submitted.",
      ),
    ],
    parameters: [
      { name: "encoder", type: "GPUCommandEncoder" },
      { name: "inputs", type: names.inputs },
      { name: "outputs", type: outputs, hasQuestionToken: true },
    ],
    returnType: `EncodedCall<${names.result}>`,
    statements: [`return this.launcher.encode<${names.result}>(encoder, inputs, outputs);`],
  };
  return [
    {
      kind: StructureKind.Method,
      name: "forward",
      docs: [
        docText(
          `Computes the attention and waits for it.\n\n@returns \`o\`: ${storage} [B, ${heads}, Lq, ${valueDim}]${lse}. ${ownerDoc}`,
        ),
      ],
      parameters: [
        { name: "inputs", type: names.inputs },
        { name: "outputs", type: outputs, hasQuestionToken: true },
      ],
      returnType: `Promise<${names.result}>`,
      statements: [`return this.launcher.forward<${names.result}>(inputs, outputs);`],
    },
    ...(encodes ? [encode] : []),
    {
      kind: StructureKind.Method,
      name: "time",
      docs: [docText("Runs a call again and again, after one run that is not counted.")],
      parameters: [
        { name: "inputs", type: names.inputs },
        { name: "options", type: "{ readonly repeats?: number }", initializer: "{}" },
      ],
      returnType: "Promise<Timing>",
      statements: ["return this.launcher.time(inputs, options);"],
    },
    {
      kind: StructureKind.Method,
      name: "prepare",
      docs: [docText(prepareDoc)],
      parameters: [{ name: "size", type: "PrepareSize" }],
      returnType: "Promise<void>",
      statements: ["return this.launcher.prepare(size);"],
    },
  ];
}

function parameterMethods({ parameters }: Pipeline, names: EmittedNames): MethodDeclarationStructure[] {
  if (parameters.length === 0) return [];
  return [
    {
      kind: StructureKind.Method,
      name: "setParameters",
      docs: [docText("Replaces some or all parameters; calls already started keep the old ones.")],
      parameters: [{ name: "parameters", type: `Partial<${names.parameters}>` }],
      returnType: "void",
      statements: ["this.launcher.setParameters(new Map(Object.entries(parameters ?? {})));"],
    },
  ];
}

function lifetimeRebuild(names: EmittedNames, { device }: LauncherFlavour): MethodDeclarationStructure {
  return {
    kind: StructureKind.Method,
    name: "rebuild",
    isAsync: true,
    docs: [docText("The same on another device, for example after this one was lost.")],
    parameters: [{ name: "device", type: device }],
    returnType: `Promise<${names.launcher}>`,
    statements: [`return new ${names.launcher}(await this.launcher.rebuild(device));`],
  };
}

function lifetimeDestroy(): MethodDeclarationStructure {
  return {
    kind: StructureKind.Method,
    name: "destroy",
    docs: [docText("Frees the parameters' buffer; the device and tensors stay.")],
    returnType: "void",
    statements: ["this.launcher.destroy();"],
  };
}

function createFunction(
  { name, parameters }: Pipeline,
  names: EmittedNames,
  { device, deviceDoc, options }: LauncherFlavour,
): FunctionDeclarationStructure {
  return {
    kind: StructureKind.Function,
    isExported: true,
    isAsync: true,
    name: "create",
    docs: [
      docText(
        `Makes a launcher for \`${name}\`: picks the first plan that the device can run, compiles its kernels and uploads the parameters.\n\n@param device ${deviceDoc}`,
      ),
    ],
    parameters: [
      { name: "device", type: device },
      {
        name: "parameters",
        type: names.parameters,
        ...(parameters.length === 0 ? { initializer: "{}" } : {}),
      },
      { name: "options", type: options, initializer: "{}" },
    ],
    returnType: `Promise<${names.launcher}>`,
    statements: [
      "const values = new Map(Object.entries(parameters ?? {}));",
      `return new ${names.launcher}(await launch(device, artifact, values, options));`,
    ],
  };
}

function createAlias(names: EmittedNames): VariableStatementStructure {
  return {
    kind: StructureKind.VariableStatement,
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    docs: [docText("`create` under a name of its own, for files that use several attentions.")],
    declarations: [{ name: names.create, initializer: "create" }],
  };
}

function initFunctions(
  { name, parameters }: Pipeline,
  names: EmittedNames,
): readonly FunctionDeclarationStructure[] {
  const documented = {
    kind: StructureKind.Function,
    isExported: true,
    name: "initParameters",
    returnType: names.parameters,
  } as const;
  if (parameters.length === 0)
    return [{ ...documented, docs: [docText(`\`${name}\` has no parameters.`)], statements: ["return {};"] }];
  const entries = parameters.map((parameter) => {
    const key = JSON.stringify(parameter.name);
    return `  ${key}: take(${key}, [${parameter.shape.join(", ")}]),`;
  });
  return [
    {
      ...documented,
      docs: [docText("Initial parameters as the spec's `init` has them; the same seed gives the same ones.")],
      parameters: [{ name: "seed", type: "number" }],
      statements: [
        "const values = initialValues(pipeline, seed);",
        "const take = <const Shape extends readonly number[]>(name: string, shape: Shape): ParameterTensor<Shape> => ({",
        "  shape,",
        "  data: Float32Array.from(values.get(name)?.data ?? []),",
        "});",
        `return {\n${entries.join("\n")}\n};`,
      ],
    },
  ];
}
