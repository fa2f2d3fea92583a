import type { Artifact, KernelImage, Pipeline, Plan, TunedPlan } from "../../../runtime/contract/index.ts";
import { CHOICES, type LauncherFlavour } from "./flavour.ts";
import { printLiteral, printTemplate } from "./literal.ts";

/** The module that holds an attention's plans and its kernels' text, so that the launcher loads no files. */
export function printKernelsModule(
  header: string,
  pipeline: Pipeline,
  artifact: Artifact,
  { runtime }: LauncherFlavour,
): string {
  const { plans, backward = [] } = artifact;
  const sources = Object.entries(artifact.sources)
    .map(([file, text]) => `    ${JSON.stringify(file)}: ${printTemplate(text)},\n`)
    .join("");
  return `${header}

import type { Artifact, Pipeline } from "${runtime}";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = ${printLiteral(pipeline)};

/** Plans, the most preferred first, and the kernels that they name. */
export const artifact: Artifact = {
  name: ${JSON.stringify(artifact.name)},
  plans: [
${printPlans(plans)}  ],
${backward.length === 0 ? "" : `  backward: [\n${printPlans(backward)}  ],\n`}  sources: {
${sources}  },
${printTuned("tuned", artifact.tuned)}${printTuned("tunedBackward", artifact.tunedBackward)}${printImages(artifact.images ?? [])}};
`;
}

/** The module of an attention whose kernels are loaded when it is known which ones: it says where they are. */
export function printChoiceModule(
  header: string,
  pipeline: Pipeline,
  digest: string,
  { runtime }: LauncherFlavour,
): string {
  const { name } = pipeline;
  const loaders = Object.entries(CHOICES).map(
    ([key, { suffix }]) => `  ${key}: () => import("./${name}${suffix}.kernels.js"),\n`,
  );
  return `${header}

import type { AutoArtifact, Pipeline } from "${runtime}";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = ${printLiteral(pipeline)};

/** Kernels, of which a page loads those that it can run. */
export const artifact: AutoArtifact = {
  name: ${JSON.stringify(name)},
  digest: ${JSON.stringify(digest)},
${loaders.join("")}};
`;
}

/** Which plan won where. */
function printTuned(key: string, tuned: readonly TunedPlan[] = []): string {
  if (tuned.length === 0) return "";
  const entries = tuned.map((entry) => `    ${printLiteral(entry, "    ")},\n`).join("");
  return `  ${key}: [\n${entries}  ],\n`;
}

/** Compiled kernels, as base64 text. */
function printImages(images: readonly KernelImage[]): string {
  if (images.length === 0) return "";
  const printed = images.map(({ data, ...rest }) => {
    const text = typeof data === "string" ? data : Buffer.from(data).toString("base64");
    return `    ${printLiteral({ ...rest, data: text }, "    ")},\n`;
  });
  return `  images: [\n${printed.join("")}  ],\n`;
}

function printPlans(plans: readonly Plan[]): string {
  return plans.map((plan) => `    ${printPlan(plan)},\n`).join("");
}

/** A plan whose pipeline is the module's constant: it is the same in all plans. */
function printPlan(plan: Plan): string {
  const { pipeline: _shared, ...rest } = plan;
  const literal = printLiteral(rest, "    ");
  return literal.startsWith("{\n")
    ? `{\n      pipeline,${literal.slice(1)}`
    : `{ pipeline, ${literal.slice(2)}`;
}
