import type { IToken } from "chevrotain";
import { DECLARATIONS, isOneOf, PROPERTIES, SECTIONS } from "../language/words.ts";
import {
  AttentionScanner,
  type BlockScanner,
  HeadScanner,
  SectionScanner,
  StackScanner,
  TuneScanner,
} from "./block-scanners.ts";
import type { Expectation } from "./expectation.ts";

/**
 * Walks over a spec's tokens and knows at each what may follow. Like the parser it takes a declaration's word as the end of
 * whatever was not closed, so that it is right in documents that are being written.
 */
class PlaceScanner {
  private readonly head = new HeadScanner();
  private body: AttentionScanner | StackScanner | TuneScanner | null = null;
  private section: SectionScanner | null = null;

  get expected(): readonly Expectation[] {
    return this.current.expected;
  }

  private get current(): BlockScanner {
    return this.section ?? this.body ?? this.head;
  }

  take(token: IToken): void {
    const text = token.image;
    if (isOneOf(text, DECLARATIONS)) {
      this.section = null;
      this.body = null;
      this.head.begin(text);
    } else if (text === "{") this.open();
    else if (text === "}") this.close();
    else {
      // A property inside a section means that the section was not closed.
      if (this.section !== null && (isOneOf(text, PROPERTIES) || isOneOf(text, SECTIONS))) this.close();
      this.current.take(token);
    }
  }

  private open(): void {
    if (this.body === null) this.body = this.newBody();
    else if (this.body instanceof AttentionScanner && this.body.section !== null && this.section === null)
      this.section = new SectionScanner(this.body.section);
  }

  private newBody(): PlaceScanner["body"] {
    switch (this.head.declaration) {
      case "attention":
        return new AttentionScanner();
      case "stack":
        return new StackScanner();
      case "tune":
        return new TuneScanner(this.head.name);
      case "const":
      case null:
        return null;
    }
  }

  private close(): void {
    if (this.section !== null) {
      this.section = null;
      if (this.body instanceof AttentionScanner) this.body.closeSection();
      return;
    }
    this.body = null;
    this.head.end();
  }
}

/** What may stand after the tokens that end at or before `offset`. */
export function expectedAt(tokens: readonly IToken[], offset: number): readonly Expectation[] {
  const scanner = new PlaceScanner();
  for (const token of tokens) {
    if ((token.endOffset ?? token.startOffset) >= offset) break;
    scanner.take(token);
  }
  return scanner.expected;
}
