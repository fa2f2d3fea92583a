import type { Artifact, Pipeline } from "../../../../runtime/contract/index.ts";
import { specPlace } from "../../provenance.ts";
import { render } from "../../templates.ts";
import { layOutText } from "../../text/index.ts";
import { headerModel, hostModel } from "./model.ts";

/** Where the spec is, and what compiled it. */
export interface HostProvenance {
  readonly version: string;
  readonly spec: string;
}

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
  const place = specPlace(provenance.spec, pipeline.source?.line);
  const header = [
    `attention ${name}, from ${place}.`,
    `Made by mtac ${provenance.version}: change the spec and compile it again, not this file.`,
  ];
  const sources = artifact.plans.map((plan, index) => {
    const file = plan.kernels[0]?.file ?? "";
    const kernels = artifact.sources[file] ?? "";
    return [
      file,
      `${kernels}\n${layOutText(render("cuda/host.cu.hbs", hostModel(pipeline, artifact, plan, index === 0)))}`,
    ] as const;
  });
  return {
    ...Object.fromEntries(sources),
    [`${name}.h`]: render("cuda/header.h.hbs", { header, ...headerModel(pipeline, artifact) }),
    [`${name}.cmake`]: render("cuda/library.cmake.hbs", {
      header,
      name,
      files: sources.map(([file]) => file),
      architectures: architectures.map((each) => each.replace("sm_", "")).join(";"),
    }),
  };
}
