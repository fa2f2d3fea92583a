import { type ChildProcess, spawn } from "node:child_process";
import type { Position, TextDocumentContentChangeEvent } from "vscode-languageserver-protocol";
import {
  createProtocolConnection,
  DidChangeTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ExitNotification,
  InitializedNotification,
  InitializeRequest,
  type InitializeResult,
  type ProtocolConnection,
  PublishDiagnosticsNotification,
  type PublishDiagnosticsParams,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver-protocol/node";
import { MAIN } from "../cli/harness.ts";

/** A language client: it starts the built command, speaks the protocol over stdio, and knows no more than an editor does. */
export class Client {
  readonly connection: ProtocolConnection;
  readonly stderr: string[] = [];
  private readonly process: ChildProcess;
  private readonly exited: Promise<number | null>;
  private readonly published: PublishDiagnosticsParams[] = [];
  private readonly waiting = new Set<() => void>();

  /** @param program the server's file: the built `mtac` if not given */
  constructor(args: readonly string[] = ["lsp", "--stdio"], program = MAIN) {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.process = child;
    child.stderr.on("data", (data: Buffer) => this.stderr.push(String(data)));
    this.exited = new Promise((resolve) => child.on("exit", resolve));
    this.connection = createProtocolConnection(
      new StreamMessageReader(child.stdout),
      new StreamMessageWriter(child.stdin),
    );
    this.connection.onNotification(PublishDiagnosticsNotification.type, (parameters) => {
      this.published.push(parameters);
      for (const wake of this.waiting) wake();
    });
    this.connection.listen();
  }

  async initialize(snippetSupport = true): Promise<InitializeResult> {
    const result = await this.connection.sendRequest(InitializeRequest.type, {
      processId: process.pid,
      rootUri: null,
      capabilities: { textDocument: { completion: { completionItem: { snippetSupport } } } },
    });
    await this.connection.sendNotification(InitializedNotification.type, {});
    return result;
  }

  async open(uri: string, text: string): Promise<void> {
    await this.connection.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: "mta", version: 1, text },
    });
  }

  async change(
    uri: string,
    version: number,
    contentChanges: TextDocumentContentChangeEvent[],
  ): Promise<void> {
    await this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version },
      contentChanges,
    });
  }

  /** The diagnostics of one version of a document, when they have come. */
  async diagnostics(uri: string, version: number): Promise<PublishDiagnosticsParams["diagnostics"]> {
    for (;;) {
      const found = this.published.find((each) => each.uri === uri && each.version === version);
      if (found !== undefined) return found.diagnostics;
      await this.nextPublished();
    }
  }

  /** How often diagnostics of a document have come. */
  count(uri: string): number {
    return this.published.filter((each) => each.uri === uri).length;
  }

  nextPublished(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        resolve();
      };
      this.waiting.add(wake);
    });
  }

  /** `shutdown`, then `exit`; gives the process's exit code. */
  async stop(): Promise<number | null> {
    await this.connection.sendRequest(ShutdownRequest.type);
    return this.leave();
  }

  /** `exit` alone. */
  async leave(): Promise<number | null> {
    await this.connection.sendNotification(ExitNotification.type);
    return this.exited;
  }

  /** Closes the server's input, as an editor that dies does. */
  async abandon(): Promise<number | null> {
    this.process.stdin?.end();
    return this.exited;
  }

  kill(): void {
    this.process.kill("SIGKILL");
  }
}

/** The place of the n-th character behind the beginning of a part of a text. */
export function placeOf(text: string, part: string, behind = 1): Position {
  const at = text.indexOf(part);
  if (at < 0) throw new RangeError(`the text lacks ${part}`);
  const before = text.slice(0, at + behind).split("\n");
  return { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
}
