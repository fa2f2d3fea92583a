import { type Artifact, hasDropout, type Pipeline, type Plan } from "../../runtime/contract/index.ts";

/** What a package computes of an attention: its direction, and whether the call drops weights. `Call.kind` of `runtime/python` says which one a call is. */
export type PassName = "forward" | "backward" | "dropout_forward" | "dropout_backward";

/** The passes that an attention has: those that drop weights only where the spec says so. */
export function passNames(pipeline: Pipeline): readonly PassName[] {
  const plain = ["forward", "backward"] as const;
  return hasDropout(pipeline) ? [...plain, "dropout_forward", "dropout_backward"] : plain;
}

/** The plans of each pass; none of those that the attention does not have. */
export function passesOf({
  plans,
  backward = [],
  dropout,
}: Artifact): Readonly<Record<PassName, readonly Plan[]>> {
  return {
    forward: plans,
    backward,
    dropout_forward: dropout?.plans ?? [],
    dropout_backward: dropout?.backward ?? [],
  };
}
