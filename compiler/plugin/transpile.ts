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

/** Of declarations and of `import("…")`. */
function renameImports(
  rename: (specifier: string) => string,
): typescript.TransformerFactory<typescript.SourceFile> {
  return (context) => {
    const { factory } = context;
    const visit = (node: typescript.Node): typescript.Node => {
      if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier))
        return factory.updateImportDeclaration(
          node,
          node.modifiers,
          node.importClause,
          factory.createStringLiteral(rename(node.moduleSpecifier.text)),
          node.attributes,
        );
      const [named] = ts.isCallExpression(node) ? node.arguments : [];
      if (
        ts.isCallExpression(node) &&
        node.expression.kind === ts.SyntaxKind.ImportKeyword &&
        named !== undefined &&
        ts.isStringLiteral(named)
      )
        return factory.updateCallExpression(node, node.expression, undefined, [
          factory.createStringLiteral(rename(named.text)),
        ]);
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => ts.visitEachChild(file, visit, context);
  };
}
