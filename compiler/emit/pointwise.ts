import type { Pointwise } from "../../runtime/contract/index.ts";

/** A call of the function that applies a pointwise stage to entries. */
export interface PointwiseModel {
  /** Its name in the templates of every language. */
  readonly call: string;
  /** What it takes after the entries: `, 30.0`. */
  readonly rest: string;
}

/** @param float A float literal of the language. */
export function pointwiseModel(pointwise: Pointwise, float: (value: number) => string): PointwiseModel {
  switch (pointwise.kind) {
    case "softcap":
      return { call: "softcap", rest: `, ${float(pointwise.limit)}` };
  }
}

/** What comments say of it, before what follows: `capped at 30, `. */
export function pointwiseComment(pointwise: Pointwise): string {
  switch (pointwise.kind) {
    case "softcap":
      return `capped at ${pointwise.limit}, `;
  }
}
