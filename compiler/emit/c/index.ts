import type { Artifact, Pipeline } from "../../../runtime/contract/index.ts";
import { cpuApi } from "../capi/api.ts";
import { headerModel } from "../capi/header.ts";
import { fileHead, type HostProvenance } from "../capi/provenance.ts";
import { specPlace } from "../provenance.ts";
import { render } from "../templates.ts";
import { layOutText } from "../text/index.ts";
import { libraryFor } from "./library.ts";
import { launchModel } from "./model.ts";

/**
 * The files with which C and C++ programs compute an attention on the processor, by name: one C source that needs no other, a
 * header, a CMake file.
 *
 * @param name What they, and the functions and types in them, are called after.
 */
export function emitCFiles(
  pipeline: Pipeline,
  artifact: Artifact,
  name: string,
  provenance: HostProvenance,
): Readonly<Record<string, string>> {
  const [plan] = artifact.plans;
  if (plan === undefined) throw new RangeError(`the attention ${pipeline.name} has no plan`);
  const api = cpuApi(name);
  const header = fileHead(pipeline, provenance);
  const place = specPlace(provenance.spec, pipeline.source?.line);
  const { system, text } = libraryFor(pipeline);
  const model = launchModel(pipeline, artifact, plan, api, place);
  const includes = [...system, "limits.h", ...(model.depthScale ? ["math.h"] : [])].sort();
  const source = [
    ...header.map((line) => `/* ${line} */`),
    `#include "${name}.h"`,
    "",
    ...includes.map((each) => `#include <${each}>`),
    "",
    text,
    layOutText(render("capi/launch.c.hbs", model)),
  ].join("\n");
  return {
    [`${name}.c`]: source,
    [`${name}.h`]: render("capi/header.h.hbs", { header, ...headerModel(pipeline, artifact, api) }),
    [`${name}.cmake`]: render("capi/library.cmake.hbs", {
      header,
      name,
      cuda: false,
      files: [`${name}.c`],
      architectures: "",
    }),
  };
}
