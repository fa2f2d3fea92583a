import type { Artifact, Pipeline } from "../../../../runtime/contract/index.ts";
import { cudaApi } from "../../capi/api.ts";
import { headerModel, plansOfCalls } from "../../capi/header.ts";
import { fileHead, type HostProvenance } from "../../capi/provenance.ts";
import { render } from "../../templates.ts";
import { layOutText } from "../../text/index.ts";
import { hostModel } from "./model.ts";

/**
 * The files with which C and C++ programs use an attention, by name: kernels with the functions that launch them, a header, a
 * CMake file.
 *
 * @param architectures What to compile for where nobody says: `sm_80`.
 */
export function emitHostFiles(
  pipeline: Pipeline,
  artifact: Artifact,
  architectures: readonly string[],
  provenance: HostProvenance,
): Readonly<Record<string, string>> {
  const { name } = pipeline;
  const header = fileHead(pipeline, provenance);
  const sources = plansOfCalls(artifact).map((plan, index) => {
    const file = plan.kernels[0]?.file ?? "";
    const kernels = artifact.sources[file] ?? "";
    return [
      file,
      `${kernels}\n${layOutText(render("capi/launch.cu.hbs", hostModel(pipeline, artifact, plan, index === 0)))}`,
    ] as const;
  });
  return {
    ...Object.fromEntries(sources),
    [`${name}.h`]: render("capi/header.h.hbs", { header, ...headerModel(pipeline, artifact, cudaApi(name)) }),
    [`${name}.cmake`]: render("capi/library.cmake.hbs", {
      header,
      name,
      cuda: true,
      files: sources.map(([file]) => file),
      architectures: architectures.map((each) => each.replace("sm_", "")).join(";"),
    }),
  };
}
