import type { Pipeline } from "../../../runtime/contract/index.ts";
import { specPlace } from "../provenance.ts";

/** Where the spec is, and what compiled it. */
export interface HostProvenance {
  readonly version: string;
  readonly spec: string;
}

/** What the head of a file for C and C++ programs says. */
export function fileHead({ name, source }: Pipeline, { spec, version }: HostProvenance): readonly string[] {
  return [
    `attention ${name}, from ${specPlace(spec, source?.line)}.`,
    `Made by mtac ${version}: change the spec and compile it again, not this file.`,
  ];
}
