import { commands, type ExtensionContext, type LogOutputChannel, window, workspace } from "vscode";
import {
  CloseAction,
  type ErrorHandler,
  LanguageClient,
  type ServerOptions,
  TransportKind,
} from "vscode-languageclient/node";
import { type ServerChoice, serverChoices } from "./server-choice.ts";

let client: LanguageClient | null = null;

/** Called by the editor when the first spec is opened. */
export async function activate(context: ExtensionContext): Promise<void> {
  const log = window.createOutputChannel("mtac", { log: true });
  // One after the other: a restart waits for the start before it.
  let running = Promise.resolve();
  const restart = (): Promise<void> => {
    running = running.then(() => start(context, log));
    return running;
  };
  context.subscriptions.push(
    log,
    commands.registerCommand("mtac.restart", restart),
    workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("mtac.path")) void restart();
    }),
    workspace.onDidGrantWorkspaceTrust(() => void restart()),
  );
  await restart();
}

/** Called by the editor when it closes, or when the extension is switched off. */
export async function deactivate(): Promise<void> {
  await stop();
}

async function stop(): Promise<void> {
  const last = client;
  client = null;
  await last?.stop().catch(() => {
    // It has ended by itself: nothing is left to stop.
  });
}

/** Starts the first server that comes up. */
async function start(context: ExtensionContext, log: LogOutputChannel): Promise<void> {
  await stop();
  const choices = serverChoices({
    setting: workspace.getConfiguration("mtac").get<string>("path", "").trim(),
    folders: (workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath),
    trusted: workspace.isTrusted,
    bundled: context.asAbsolutePath("dist/server.mjs"),
  });
  for (const choice of choices) {
    const state = { up: false };
    const started = clientFor(choice, log, state);
    try {
      await started.start();
      state.up = true;
      client = started;
      log.info(`language server: ${choice.path} (${choice.origin})`);
      return;
    } catch (error) {
      log.error(`${choice.path} (${choice.origin}) does not start: ${String(error)}`);
      await started.dispose().catch(() => {
        // It never ran.
      });
    }
  }
  void window.showErrorMessage("No language server for mtac starts; the output channel “mtac” says why.");
}

/** `state` says whether the server has come up: one that ends before that is not started again, since the next is tried. */
function clientFor(
  choice: ServerChoice,
  outputChannel: LogOutputChannel,
  state: { readonly up: boolean },
): LanguageClient {
  const made: LanguageClient = new LanguageClient("mtac", "mtac", serverOptions(choice), {
    documentSelector: [{ language: "mta" }],
    outputChannel,
    initializationFailedHandler: () => false,
    errorHandler: {
      error: (error, message, count) => usual().error(error, message, count),
      closed: () => (state.up ? usual().closed() : { action: CloseAction.DoNotRestart, handled: true }),
    },
  });
  let handler: ErrorHandler | null = null;
  const usual = (): ErrorHandler => {
    handler ??= made.createDefaultErrorHandler();
    return handler;
  };
  return made;
}

function serverOptions({ kind, path, args }: ServerChoice): ServerOptions {
  // The client adds `--stdio` itself.
  if (kind === "module") return { module: path, args: [...args], transport: TransportKind.stdio };
  return { command: path, args: [...args], transport: TransportKind.stdio };
}
