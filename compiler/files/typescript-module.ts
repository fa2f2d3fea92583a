import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { cacheFolder } from "../../runtime/contract/cache-folder.ts";
import { entryPoint } from "../package.ts";
import { writeAtomically } from "./atomic-write.ts";
import { unreadableFile } from "./errors.ts";

type TypeScript = typeof import("ts-morph").ts;

/** The error for a module that cannot be loaded: where it stands, what is wrong. */
export type ModuleFault = (place: string, message: string, cause?: unknown) => Error;

/**
 * Loads a module written in TypeScript, a spec say, and gives its default export. Node cannot be relied on to strip types (before
 * 22.18 it does not), nor to find `mtac` from a folder without node_modules: each file is transpiled into the cache
 * folder with its imports turned into addresses. Source maps lead stack traces, and with them diagnostics, back to the
 * original.
 * @throws What `fault` makes; MtacError MTA905 for a file that cannot be read, MTA907 without ts-morph.
 */
export async function loadTypeScriptModule(path: string, fault: ModuleFault): Promise<unknown> {
  const { ts } = await import("./ts-morph.ts");
  const staged = new Staging(ts, fault).stage(resolve(path));
  process.setSourceMapsEnabled(true);
  let module: unknown;
  try {
    module = await import(staged);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw fault(path, `it cannot be loaded: ${message}`, cause);
  }
  if (typeof module !== "object" || module === null || !("default" in module))
    throw fault(path, "it has no default export");
  return module.default;
}

/** Transpiled copies of a spec and of the files that it imports. */
class Staging {
  readonly #ts: TypeScript;
  readonly #fault: ModuleFault;
  readonly #folder = stagingFolder();
  readonly #addresses = new Map<string, string>();

  constructor(ts: TypeScript, fault: ModuleFault) {
    this.#ts = ts;
    this.#fault = fault;
  }

  /** Writes the transpiled copy of a file and gives its address. */
  stage(path: string): string {
    const known = this.#addresses.get(path);
    if (known !== undefined) {
      if (known === "") throw this.#fault(path, "it imports itself, directly or through others");
      return known;
    }
    this.#addresses.set(path, "");
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (cause) {
      throw unreadableFile(path, cause);
    }
    const staged = this.#transpile(path, text);
    const name = `${createHash("sha256").update(staged).digest("hex").slice(0, 32)}.mjs`;
    const target = join(this.#folder, name);
    // Named by content: what is there is what would be written.
    if (!existsSync(target)) writeAtomically(target, staged);
    const address = pathToFileURL(target).href;
    this.#addresses.set(path, address);
    return address;
  }

  #transpile(path: string, text: string): string {
    const ts = this.#ts;
    const { outputText, diagnostics = [] } = ts.transpileModule(text, {
      fileName: path,
      reportDiagnostics: true,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        inlineSourceMap: true,
        inlineSources: true,
        // The copy lies elsewhere: without this, the source map would name a file beside it.
        sourceRoot: new URL("./", pathToFileURL(path)).href,
      },
      transformers: { after: [this.#importRewriter(path)] },
    });
    const [error] = diagnostics;
    if (error !== undefined) {
      const message = ts.flattenDiagnosticMessageText(error.messageText, "\n");
      const place = error.file?.getLineAndCharacterOfPosition(error.start ?? 0);
      throw this.#fault(
        place === undefined ? path : `${path}:${place.line + 1}:${place.character + 1}`,
        message,
      );
    }
    return outputText;
  }

  #importRewriter(path: string): import("ts-morph").ts.TransformerFactory<import("ts-morph").ts.SourceFile> {
    const ts = this.#ts;
    return (context) => (file) => {
      const { factory } = context;
      const rewrite = (specifier: import("ts-morph").ts.Expression | undefined) =>
        specifier !== undefined && ts.isStringLiteral(specifier)
          ? factory.createStringLiteral(this.#resolve(specifier.text, path))
          : specifier;
      const statements = file.statements.map((statement) => {
        if (ts.isImportDeclaration(statement)) {
          const { modifiers, importClause, moduleSpecifier, attributes } = statement;
          const address = rewrite(moduleSpecifier) ?? moduleSpecifier;
          return factory.updateImportDeclaration(statement, modifiers, importClause, address, attributes);
        }
        if (ts.isExportDeclaration(statement)) {
          const { modifiers, isTypeOnly, exportClause, moduleSpecifier, attributes } = statement;
          const address = rewrite(moduleSpecifier);
          return factory.updateExportDeclaration(
            statement,
            modifiers,
            isTypeOnly,
            exportClause,
            address,
            attributes,
          );
        }
        return statement;
      });
      return factory.updateSourceFile(file, statements);
    };
  }

  #resolve(specifier: string, from: string): string {
    const own = entryPoint(specifier);
    if (own !== null) return own;
    if (specifier.startsWith("node:")) return specifier;
    if (/^\.{0,2}\//.test(specifier)) {
      const path = resolve(dirname(from), specifier);
      return /\.[cm]?ts$/.test(path) ? this.stage(path) : pathToFileURL(path).href;
    }
    try {
      const path = createRequire(from).resolve(specifier);
      return path === specifier ? specifier : pathToFileURL(path).href;
    } catch {
      return specifier;
    }
  }
}

/** In the cache folder, or in the system's temporary folder where that cannot be written. */
function stagingFolder(): string {
  for (const base of [cacheFolder(), join(tmpdir(), "mtac")]) {
    try {
      const folder = join(base, "specs");
      mkdirSync(folder, { recursive: true });
      return folder;
    } catch {
      // The next one.
    }
  }
  return tmpdir();
}
