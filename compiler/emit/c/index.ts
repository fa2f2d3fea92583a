import { type Artifact, type Pipeline, usesLayer } from "../../../runtime/contract/index.ts";
import { cpuApi } from "../capi/api.ts";
import { backwardPlan, headerModel } from "../capi/header.ts";
import { fileHead, type HostProvenance } from "../capi/provenance.ts";
import { specPlace } from "../provenance.ts";
import { render } from "../templates.ts";
import { layOutText } from "../text/index.ts";
import type { Amalgamation } from "./amalgamate.ts";
import { gradientLibraryFor, libraryFor } from "./library.ts";
import { launchModel } from "./model.ts";

/**
 * The files with which C and C++ programs compute an attention on the processor, by name: one C source that needs no other, and another for
 * gradients where there are any, a header, a CMake file.
 *
 * @param name What they, and the functions and types in them, are called after.
 */
export function emitCFiles(
  pipeline: Pipeline,
  artifact: Artifact,
  name: string,
  provenance: HostProvenance,
): Readonly<Record<string, string>> {
  // What drops weights drops none in a call without a seed.
  const [plan] = artifact.dropout?.plans ?? artifact.plans;
  if (plan === undefined) throw new RangeError(`the attention ${pipeline.name} has no plan`);
  const api = cpuApi(name);
  const header = fileHead(pipeline, provenance);
  const place = specPlace(provenance.spec, pipeline.source?.line);
  const source = ({ system, text }: Amalgamation, functions: string): string => {
    const includes = [...system, "limits.h", ...(usesLayer(pipeline) ? ["math.h"] : [])].sort();
    return [
      ...header.map((line) => `/* ${line} */`),
      `#include "${name}.h"`,
      "",
      ...includes.map((each) => `#include <${each}>`),
      "",
      text,
      layOutText(functions),
    ].join("\n");
  };
  const launch = render("capi/launch.c.hbs", launchModel(pipeline, artifact, plan, api, place));
  const sources = { [`${name}.c`]: source(libraryFor(pipeline), launch) };
  const gradients = backwardPlan(artifact);
  if (gradients !== null) {
    const backward = render("capi/backward.c.hbs", launchModel(pipeline, artifact, gradients, api, place));
    sources[`${name}_backward.c`] = source(gradientLibraryFor(pipeline), backward);
  }
  return {
    ...sources,
    [`${name}.h`]: render("capi/header.h.hbs", { header, ...headerModel(pipeline, artifact, api) }),
    [`${name}.cmake`]: render("capi/library.cmake.hbs", {
      header,
      name,
      cuda: false,
      files: Object.keys(sources),
      architectures: "",
    }),
  };
}
