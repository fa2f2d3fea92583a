import type {
  ClassDeclarationStructure,
  ExportDeclarationStructure,
  FunctionDeclarationStructure,
  ImportDeclarationStructure,
  ImportSpecifierStructure,
  ParameteredNodeStructure,
  StatementStructures,
  VariableStatementStructure,
} from "ts-morph";
import type { Pipeline } from "../../../runtime/contract/index.ts";
import { attentionModule } from "./attention-module.ts";
import type { LauncherFlavour } from "./flavour.ts";
import { docText } from "./line-width.ts";
import { type EmittedNames, emittedNames } from "./names.ts";
import { type EmittedStack, stackModule, tupleTypes } from "./stack-module.ts";
import { StructureKind, VariableDeclarationKind } from "./ts-morph.ts";

type Statement = StatementStructures | string;

/**
 * The declarations of one module for a whole spec, made of the very statements that the emitted modules are made of: each
 * attention and stack under names of its own, and under the short ones too where there is one attention.
 */
export function declarationStatements(
  pipelines: readonly Pipeline[],
  stacks: readonly EmittedStack[],
  flavour: LauncherFlavour,
): readonly Statement[] {
  const modules = [
    ...pipelines.map((pipeline) => ({
      names: emittedNames(pipeline.name),
      statements: attentionModule(pipeline, flavour),
    })),
    ...stacks.map((stack) => ({ names: emittedNames(stack.name), statements: stackModule(stack, flavour) })),
  ];
  const declared: Statement[] = [];
  const shared = new Set<string>();
  for (const { names, statements } of modules)
    for (const statement of statements) {
      const ambient = declare(statement, names);
      if (ambient === null || (isShared(ambient) && shared.has(ambient.name))) continue;
      if (isShared(ambient)) shared.add(ambient.name);
      declared.push(ambient);
    }
  const [only, ...others] = pipelines;
  return [
    runtimeImport(
      modules.flatMap(({ statements }) => statements),
      flavour,
    ),
    ...declared,
    ...stacks.flatMap((stack) => tupleTypes(stack, (_names, type) => type)),
    ...pipelines.map((pipeline) => pipelineConstant(pipeline)),
    ...(only !== undefined && others.length === 0 ? [shortNames(emittedNames(only.name))] : []),
  ];
}

/** What several attentions or stacks would declare alike. */
function isShared(statement: Statement): statement is StatementStructures & { readonly name: string } {
  return (
    typeof statement === "object" &&
    statement.kind === StructureKind.Interface &&
    (statement.name === "ParameterTensor" || statement.name === "StackLayer")
  );
}

/** A statement of an emitted module as a `.d.ts` has it; null for what belongs to the module alone. */
function declare(statement: Statement, names: EmittedNames): StatementStructures | null {
  // Texts are the tuple types of stacks, whose names for other modules mean nothing here.
  if (typeof statement === "string") return null;
  switch (statement.kind) {
    case StructureKind.Interface:
    case StructureKind.TypeAlias:
      return statement;
    case StructureKind.Class:
      return ambientClass(statement);
    case StructureKind.Function:
      return statement.isExported === true ? ambientFunction(statement, names) : null;
    default:
      return null;
  }
}

/** Bodies stay in the structures: an ambient declaration is printed without them. */
function ambientClass(declaration: ClassDeclarationStructure): ClassDeclarationStructure {
  return {
    ...declaration,
    hasDeclareKeyword: true,
    methods: (declaration.methods ?? []).map((method) => ({
      ...method,
      isAsync: false,
      ...optional(method),
    })),
  };
}

function ambientFunction(
  declaration: FunctionDeclarationStructure,
  names: EmittedNames,
): FunctionDeclarationStructure {
  return {
    ...declaration,
    name: declaration.name === "create" ? names.create : names.initParameters,
    isAsync: false,
    hasDeclareKeyword: true,
    ...optional(declaration),
  };
}

/** Parameters with a default may be left out. */
function optional({ parameters = [] }: ParameteredNodeStructure): ParameteredNodeStructure {
  return {
    parameters: parameters.map(({ initializer, ...parameter }) =>
      initializer === undefined ? parameter : { ...parameter, hasQuestionToken: true },
    ),
  };
}

/** Every type of the runtime that one of the modules imports, and `Pipeline`. */
function runtimeImport(
  statements: readonly Statement[],
  { runtime }: LauncherFlavour,
): ImportDeclarationStructure {
  const imported = new Map<string, ImportSpecifierStructure>([["Pipeline", specifier("Pipeline")]]);
  for (const statement of statements)
    if (
      typeof statement === "object" &&
      statement.kind === StructureKind.ImportDeclaration &&
      statement.moduleSpecifier === runtime &&
      Array.isArray(statement.namedImports)
    )
      for (const named of statement.namedImports) {
        const isType = statement.isTypeOnly === true;
        if (typeof named === "string" && isType) imported.set(named, specifier(named));
        if (typeof named === "object" && named.isTypeOnly === true)
          imported.set(named.name, specifier(named.name, named.alias));
      }
  return {
    kind: StructureKind.ImportDeclaration,
    isTypeOnly: true,
    moduleSpecifier: runtime,
    namedImports: [...imported.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function specifier(name: string, alias?: string): ImportSpecifierStructure {
  return { kind: StructureKind.ImportSpecifier, name, ...(alias === undefined ? {} : { alias }) };
}

function pipelineConstant({ name }: Pipeline): VariableStatementStructure {
  return {
    kind: StructureKind.VariableStatement,
    isExported: true,
    hasDeclareKeyword: true,
    declarationKind: VariableDeclarationKind.Const,
    docs: [docText(`What \`${name}\` computes; \`mtac/reference\` takes it.`)],
    declarations: [{ name: emittedNames(name).pipeline, type: "Pipeline" }],
  };
}

function shortNames({ create, initParameters, pipeline }: EmittedNames): ExportDeclarationStructure {
  return {
    kind: StructureKind.ExportDeclaration,
    namedExports: [
      { name: create, alias: "create" },
      { name: initParameters, alias: "initParameters" },
      { name: pipeline, alias: "pipeline" },
    ],
  };
}
