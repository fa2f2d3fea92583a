import { ErrorCodes, type Position, type Range, ResponseError } from "vscode-languageserver/node";
import { TextDocument, type TextDocumentContentChangeEvent } from "vscode-languageserver-textdocument";

/** Types say what a client must send; what it does send is looked at here. */

function refuse(message: string): never {
  throw new ResponseError(ErrorCodes.InvalidParams, message);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isPosition(value: unknown): value is Position {
  return isRecord(value) && Number.isInteger(value["line"]) && Number.isInteger(value["character"]);
}

function isRange(value: unknown): value is Range {
  return isRecord(value) && isPosition(value["start"]) && isPosition(value["end"]);
}

/** The document that a request is about. @throws ResponseError InvalidParams */
export function uriOf(request: unknown): string {
  const document = isRecord(request) ? request["textDocument"] : undefined;
  const uri = isRecord(document) ? document["uri"] : undefined;
  return typeof uri === "string" ? uri : refuse("textDocument.uri is missing: the URI of a document");
}

/** @throws ResponseError InvalidParams */
export function positionOf({ position }: { readonly position?: unknown }): Position {
  return isPosition(position) ? position : refuse("position is missing: a line and a character");
}

/** @throws ResponseError InvalidParams */
export function checkRange({ range }: { readonly range?: unknown }): Range {
  return isRange(range) ? range : refuse("range is missing: its start and its end");
}

/** @throws ResponseError InvalidParams */
export function newNameOf({ newName }: { readonly newName?: unknown }): string {
  return typeof newName === "string" ? newName : refuse("newName is missing: a text");
}

/** How `TextDocuments` makes and changes documents: a message without what that needs changes nothing. */
export const DOCUMENTS = {
  create(uri: unknown, languageId: string, version: number, text: unknown): TextDocument {
    if (typeof uri !== "string") return refuse("textDocument.uri is missing: the URI of a document");
    if (typeof text !== "string") return refuse(`textDocument.text of ${uri} is missing: the whole text`);
    return TextDocument.create(uri, languageId, version, text);
  },

  update(document: TextDocument, changes: TextDocumentContentChangeEvent[], version: number): TextDocument {
    for (const change of changes) {
      if (!isRecord(change) || typeof change.text !== "string")
        return refuse(`a change of ${document.uri} has no text`);
      if ("range" in change) checkRange(change);
    }
    return TextDocument.update(document, changes, version);
  },
};
