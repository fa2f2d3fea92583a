import { setTimeout as delay } from "node:timers/promises";
import {
  type Connection,
  createConnection,
  type InitializeParams,
  type InitializeResult,
  LSPErrorCodes,
  type Position,
  ProposedFeatures,
  ResponseError,
  type TextDocumentIdentifier,
  TextDocumentSyncKind,
  TextDocuments,
} from "vscode-languageserver/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import { CodeActionKind, DocumentHighlightKind } from "vscode-languageserver-types";
import { codeActionsIn } from "./code-actions.ts";
import { type CompletionClient, completionsAt } from "./completion.ts";
import { diagnosticsOf } from "./diagnostics.ts";
import { formattingEdits } from "./format.ts";
import { FrameFilter } from "./frames.ts";
import { hoverAt } from "./hover.ts";
import { checkRange, DOCUMENTS, newNameOf, positionOf, uriOf } from "./parameters.ts";
import { planAhead } from "./plan-ahead.ts";
import { Predictions } from "./predictions.ts";
import { definitionAt, highlightsAt, referencesAt } from "./references.ts";
import { renameAt, renameableAt } from "./rename.ts";
import { readSpec, type SpecDocument } from "./spec-document.ts";
import { symbolsOf } from "./symbols.ts";

export interface ServerOptions {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** What the server calls itself beside its name. */
  readonly version: string;
  /** Milliseconds that a document has to rest before its diagnostics are sent. Default 150. */
  readonly debounceMs?: number;
}

/**
 * Serves the Language Server Protocol over two streams. When the client says `exit`, or its end of the input closes, the process
 * ends: with 0 after a `shutdown`, else with 1.
 */
export function serve({ input, output, version, debounceMs = 150 }: ServerOptions): void {
  const frames = new FrameFilter((bytes) => {
    connection.console.warn(`${bytes} bytes were no message of the protocol, and were left out`);
  });
  const connection = createConnection(ProposedFeatures.all, input.pipe(frames), output);
  const session = new Session(connection, version, debounceMs);
  session.answerNames();
  session.answerTexts();
  session.listen();
}

const CAPABILITIES: InitializeResult["capabilities"] = {
  positionEncoding: "utf-16",
  textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
  hoverProvider: true,
  // A blank after `dtype`, `use` or a stage is where a list helps most.
  completionProvider: { triggerCharacters: [" "] },
  definitionProvider: true,
  referencesProvider: true,
  documentHighlightProvider: true,
  renameProvider: { prepareProvider: true },
  documentFormattingProvider: true,
  documentSymbolProvider: true,
  codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
};

/** Between two attentions that are planned ahead, so that requests come first. */
const PAUSE_MS = 100;

interface On {
  readonly textDocument: TextDocumentIdentifier;
}

interface At extends On {
  readonly position: Position;
}

class Session {
  private readonly connection: Connection;
  private readonly debounceMs: number;
  private readonly documents = new TextDocuments(DOCUMENTS);
  private readonly predictions = new Predictions();
  /** The latest version of each open document that was read. */
  private readonly read = new Map<string, SpecDocument>();
  private readonly waiting = new Map<string, NodeJS.Timeout>();
  private client: CompletionClient = { snippets: false };

  constructor(connection: Connection, version: string, debounceMs: number) {
    this.connection = connection;
    this.debounceMs = debounceMs;
    connection.onInitialize((parameters) => {
      this.client = clientOf(parameters);
      return { capabilities: CAPABILITIES, serverInfo: { name: "mtac", version } };
    });
  }

  /** Requests about the word under the cursor. */
  answerNames(): void {
    const { connection } = this;
    connection.onHover((request) =>
      this.at(request, null, (spec, offset) => hoverAt(spec, offset, this.predictions)),
    );
    connection.onCompletion((request) =>
      this.at(request, [], (spec, offset) => completionsAt(spec, offset, this.client, this.predictions)),
    );
    connection.onDefinition((request) => this.at(request, null, definitionAt));
    connection.onReferences((request) =>
      this.at(request, [], (spec, offset) =>
        referencesAt(spec, offset, request.context?.includeDeclaration === true),
      ),
    );
    connection.onDocumentHighlight((request) =>
      this.at(request, [], (spec, offset) =>
        highlightsAt(spec, offset).map((range) => ({ range, kind: DocumentHighlightKind.Text })),
      ),
    );
    connection.onPrepareRename((request) =>
      this.at(request, null, (spec, offset) => {
        const found = renameableAt(spec, offset);
        return "refused" in found ? refusal(found.refused) : found;
      }),
    );
    connection.onRenameRequest((request) =>
      this.at(request, null, (spec, offset) => {
        const renaming = renameAt(spec, offset, newNameOf(request));
        if ("refused" in renaming) return refusal(renaming.refused);
        return { changes: { [spec.text.uri]: [...renaming.edits] } };
      }),
    );
  }

  /** Requests about a whole document, and what is sent of its own accord. */
  answerTexts(): void {
    const { connection, documents } = this;
    connection.onDocumentFormatting((request) => this.on(request, [], formattingEdits));
    connection.onDocumentSymbol((request) => this.on(request, [], symbolsOf));
    connection.onCodeAction((request) =>
      this.on(request, [], (spec) => {
        const range = checkRange(request);
        const [start, end] = [spec.text.offsetAt(range.start), spec.text.offsetAt(range.end)];
        return codeActionsIn(spec, start, end, request.context?.only ?? null);
      }),
    );
    documents.onDidOpen(({ document }) => this.publish(document.uri));
    documents.onDidChangeContent(({ document: { uri, version } }) => {
      // An opened document comes here as well.
      if (this.read.get(uri)?.text.version !== version) this.publishSoon(uri);
    });
    documents.onDidClose(({ document: { uri } }) => {
      this.forget(uri);
      this.read.delete(uri);
      void connection.sendDiagnostics({ uri, diagnostics: [] });
    });
  }

  listen(): void {
    this.documents.listen(this.connection);
    this.connection.listen();
  }

  private at<T>(request: At, otherwise: T, answer: (spec: SpecDocument, offset: number) => T): T {
    return this.on(request, otherwise, (spec) => answer(spec, spec.text.offsetAt(positionOf(request))));
  }

  private on<T>(request: On, otherwise: T, answer: (spec: SpecDocument) => T): T {
    const spec = this.specOf(uriOf(request));
    return spec === null ? otherwise : answer(spec);
  }

  private specOf(uri: string): SpecDocument | null {
    const document = this.documents.get(uri);
    if (document === undefined) return null;
    const known = this.read.get(uri);
    // Documents are changed in place: the analysis is of one version.
    if (known !== undefined && known.text.version === document.version) return known;
    const { languageId, version } = document;
    const spec = readSpec(TextDocument.create(uri, languageId, version, document.getText()));
    this.read.set(uri, spec);
    return spec;
  }

  private publishSoon(uri: string): void {
    this.forget(uri);
    this.waiting.set(
      uri,
      setTimeout(() => this.publish(uri), this.debounceMs),
    );
  }

  private publish(uri: string): void {
    this.forget(uri);
    const spec = this.specOf(uri);
    if (spec === null) return;
    const { version } = spec.text;
    void this.connection.sendDiagnostics({ uri, version, diagnostics: diagnosticsOf(spec) });
    void planAhead(spec, this.predictions, async () => {
      await delay(PAUSE_MS);
      return this.documents.get(uri)?.version === version;
    }).catch((error: unknown) => this.connection.console.error(`planning ahead failed: ${String(error)}`));
  }

  private forget(uri: string): void {
    clearTimeout(this.waiting.get(uri));
    this.waiting.delete(uri);
  }
}

function clientOf({ capabilities }: InitializeParams): CompletionClient {
  return { snippets: capabilities.textDocument?.completion?.completionItem?.snippetSupport === true };
}

function refusal(message: string): ResponseError {
  return new ResponseError(LSPErrorCodes.RequestFailed, message);
}
