import { createUnplugin, type UnpluginContextMeta, type UnpluginOptions } from "unplugin";
import { MtacError } from "../../runtime/contract/index.ts";
import { diagnosticMessage, failureMessage, type HostMessage } from "./host-message.ts";
import { emitNamedFiles, loadNamedFiles } from "./module-files.ts";
import { parseId, realId, SPEC_ID } from "./module-id.ts";
import type { PluginOptions } from "./options.ts";
import { escapeForWebpack, resolveForBun, resolveForEsbuild, resolveSpec } from "./resolve-spec.ts";
import { type LoadedSpec, SpecLoader } from "./spec-loader.ts";
import type { SpecModule } from "./spec-modules.ts";
import { viteHooks } from "./vite-hooks.ts";

/** What `load` may ask of the bundler. */
interface LoadContext {
  addWatchFile(file: string): void;
  error(message: HostMessage): void;
  warn(message: HostMessage): void;
}

/** Bundlers that print places and code frames of errors themselves. */
const SHOWS_FRAMES: ReadonlySet<string> = new Set(["vite", "rollup", "rolldown"]);

/** `mtac`'s plugin for the bundler that `meta` names. @throws MtacError MTA960 */
export function mtacPlugin(
  options: PluginOptions = {},
  meta: Pick<UnpluginContextMeta, "framework">,
): UnpluginOptions {
  const specs = new SpecLoader(options);
  const host = { framework: meta.framework, showsFrames: SHOWS_FRAMES.has(meta.framework) };
  return {
    name: "mtac",
    load: {
      filter: { id: SPEC_ID },
      handler(id) {
        return loadModule(this, realId(id), specs, host);
      },
    },
    ...(meta.framework === "bun" ? { resolveId: resolveForBun } : {}),
    vite: viteHooks(specs),
    rollup: { resolveId: resolveSpec, transform: emitNamedFiles },
    rolldown: { resolveId: resolveSpec, transform: emitNamedFiles },
    esbuild: {
      onLoadFilter: /\.mta$/,
      setup(build) {
        resolveForEsbuild(build);
        loadNamedFiles(build);
      },
    },
    webpack: (compiler) => {
      compiler.hooks.normalModuleFactory.tap("mtac", ({ hooks }) => {
        hooks.beforeResolve.tap("mtac", (module) => {
          try {
            module.request = escapeForWebpack(module.request, module.context);
          } catch (error) {
            const message = failureMessage(error, module.request, "", host);
            throw message === null ? error : errorForWebpack(message, error);
          }
        });
      });
      // Who uses nothing of a part does not need it.
      compiler.options.module.rules.push({ test: /\.mta$/, sideEffects: false });
    },
  };
}

interface LoadHost {
  readonly framework: string;
  readonly showsFrames: boolean;
}

async function loadModule(
  context: LoadContext,
  id: string,
  specs: SpecLoader,
  host: LoadHost,
): Promise<(SpecModule & { readonly moduleSideEffects: boolean }) | null> {
  const module = parseId(id);
  if (module === null) return null;
  for (const file of [module.file, ...(await specs.watchedFiles(module.file))]) context.addWatchFile(file);
  let text = "";
  try {
    text = await specs.read(module.file);
    const loaded = await specs.build(text, module.file);
    // Once for a spec, not for each of its modules.
    if (module.part === null) {
      reportWarnings(context, loaded, host);
      writeTypes(context, loaded, specs);
    }
    return { ...specs.moduleOf(loaded, module), moduleSideEffects: specs.hotKey !== null };
  } catch (error) {
    if (module.part === null) specs.loadFailed(module.file);
    const message = failureMessage(error, module.file, text, host);
    if (message === null) throw error;
    // Webpack would go on, and complain about every name that an empty module lacks.
    if (host.framework === "webpack") throw errorForWebpack(message, error);
    context.error(message);
    // The others go on until the module is there.
    return { code: "", map: null, moduleSideEffects: false };
  }
}

function errorForWebpack({ message }: HostMessage, cause: unknown): Error {
  return Object.assign(new Error(message, { cause }), { hideStack: true });
}

function reportWarnings(
  context: LoadContext,
  { diagnostics, notices, text, file }: LoadedSpec,
  host: LoadHost,
): void {
  for (const diagnostic of diagnostics) context.warn(diagnosticMessage(diagnostic, text, host));
  for (const { severity, message } of notices)
    if (severity === "warning") context.warn({ message, id: file });
}

/** A folder that cannot be written costs editors their types, not the build. */
function writeTypes(context: LoadContext, loaded: LoadedSpec, specs: SpecLoader): void {
  try {
    specs.writeTypes(loaded);
  } catch (error) {
    if (!(error instanceof MtacError) || error.code !== "MTA906") throw error;
    context.warn({
      message: `${error.code}: ${error.message}; \`types: false\` writes none`,
      id: loaded.file,
    });
  }
}

/** One plugin for each bundler, never several. */
export const plugin = createUnplugin<PluginOptions | undefined, false>(mtacPlugin);
