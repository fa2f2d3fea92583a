import type { ts as typescript } from "ts-morph";
import { ts } from "../files/ts-morph.ts";

/**
 * An emitted module as JavaScript. Types go, everything else stays as it is, line by line within template literals.
 *
 * @param rename What to import instead of a module.
 */
export function transpile(text: string, rename: (specifier: string) => string): string {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      newLine: ts.NewLineKind.LineFeed,
    },
    transformers: { before: [renameImports(rename)] },
  });
  return outputText;
}

function renameImports(
  rename: (specifier: string) => string,
): typescript.TransformerFactory<typescript.SourceFile> {
  return ({ factory }) =>
    (file) =>
      factory.updateSourceFile(
        file,
        file.statements.map((statement) =>
          ts.isImportDeclaration(statement) && ts.isStringLiteral(statement.moduleSpecifier)
            ? factory.updateImportDeclaration(
                statement,
                statement.modifiers,
                statement.importClause,
                factory.createStringLiteral(rename(statement.moduleSpecifier.text)),
                statement.attributes,
              )
            : statement,
        ),
      );
}
