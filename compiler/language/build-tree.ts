import type { CstNode, IToken } from "chevrotain";
import { buildAttention } from "./build-attention.ts";
import { BuildContext, didYouMean, readName } from "./build-context.ts";
import { buildExpression } from "./build-expression.ts";
import { buildStack, buildTune } from "./build-stack.ts";
import { childNode, childNodes, childToken, nodeSpan, onlyNode, tokensOf } from "./cst.ts";
import type { Reporter } from "./diagnostics.ts";
import type { LexedSource } from "./lex.ts";
import { after, tokenSpan } from "./span.ts";
import { type ConstNode, type DeclarationNode, invalid, type SpecTree, type UnknownNode } from "./tree.ts";
import { DECLARATIONS, wordList } from "./words.ts";

/** Makes the syntax tree of the parser's concrete tree, and reports what the permissive grammar let through. */
export function buildTree(cst: CstNode, lexed: LexedSource, reporter: Reporter): SpecTree {
  const context = new BuildContext(reporter, lexed);
  const nodes = childNodes(cst, "declaration");
  const declarations: DeclarationNode[] = [];
  for (const [index, node] of nodes.entries()) {
    const following = nodes[index + 1];
    const next = following === undefined ? null : (tokensOf(following)[0] ?? null);
    const declaration = buildDeclaration(node, next, context);
    if (declaration !== null) declarations.push(declaration);
  }
  return { file: reporter.file, declarations };
}

function buildDeclaration(cst: CstNode, next: IToken | null, context: BuildContext): DeclarationNode | null {
  const inner = onlyNode(cst);
  if (inner === null || inner.name === "unknownDeclaration") return buildUnknown(cst, context);
  context.braceTrouble = false;
  context.inStray = false;
  switch (inner.name) {
    case "attention":
      return buildAttention(inner, next, context);
    case "stack":
      return buildStack(inner, next, context);
    case "tune":
      return buildTune(inner, next, context);
    default:
      return buildConst(inner, context);
  }
}

function buildConst(cst: CstNode, context: BuildContext): ConstNode {
  const head = childToken(cst, "word_const");
  const span = nodeSpan(cst) ?? { start: 0, end: 0, line: 1, column: 1 };
  const place = head === null ? span : tokenSpan(head);
  const name = readName(childNode(cst, "declaredName"), place, "the constant", "const n = 16", context);
  const node = childNode(cst, "expression");
  const expression = node === null || nodeSpan(node) === null ? null : node;
  if (name.kind === "name" && childToken(cst, "Equals") === null) {
    const fix = { message: `write \`const ${name.text} = …\`` };
    context.reporter.report("MTA110", after(name.span), `\`=\` is missing after \`${name.text}\``, {
      expected: "`=`",
      fix,
    });
  } else if (name.kind === "name" && expression === null) {
    const expected = `a number, as in \`const ${name.text} = 16\``;
    context.reporter.report("MTA112", name.span, `the constant \`${name.text}\` lacks its value`, {
      expected,
    });
  }
  const value = expression === null ? invalid(span) : buildExpression(expression, context, span);
  return { kind: "const", name, value, span };
}

/** What begins with no word that begins a declaration. */
function buildUnknown(cst: CstNode, context: BuildContext): UnknownNode | null {
  const [token, second] = tokensOf(cst);
  if (token === undefined || context.braceTrouble) return null;
  const span = tokenSpan(token);
  const expected = `a declaration: ${wordList(DECLARATIONS)}`;
  const fix = didYouMean(token.image, span, DECLARATIONS);
  const repeated = context.inStray && fix.fix === undefined;
  context.inStray = true;
  if (repeated) return null;
  if (token.tokenType.name !== "Identifier") {
    context.reporter.report("MTA110", span, `unexpected \`${token.image}\` outside a declaration`, {
      expected,
    });
    return null;
  }
  context.reporter.report("MTA113", span, `unknown declaration \`${token.image}\``, {
    expected,
    ...fix,
  });
  if (second?.tokenType.name !== "Identifier") return null;
  const name = { kind: "name", text: second.image, span: tokenSpan(second) } as const;
  return { kind: "unknown", name, span };
}
