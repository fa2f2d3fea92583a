import {
  type Artifact,
  type KernelImage,
  type Pipeline,
  type Plan,
  type TunedPlan,
  withoutDropout,
} from "../../../runtime/contract/index.ts";
import { CHOICES, type LauncherFlavour } from "./flavour.ts";
import { printLiteral, printTemplate } from "./literal.ts";

/** The module that holds an attention's plans and its kernels' text, so that the launcher loads no files. */
export function printKernelsModule(
  header: string,
  pipeline: Pipeline,
  artifact: Artifact,
  { runtime }: LauncherFlavour,
): string {
  const { plans, backward = [], dropout } = artifact;
  const shared = dropout === undefined ? "pipeline" : "pipeline: inference";
  const sources = Object.entries(artifact.sources)
    .map(([file, text]) => `    ${JSON.stringify(file)}: ${printTemplate(text)},\n`)
    .join("");
  return `${header}

import type { Artifact, Pipeline } from "${runtime}";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = ${printLiteral(pipeline)};
${dropout === undefined ? "" : printInference(pipeline)}
/** Plans, the most preferred first, and the kernels that they name. */
export const artifact: Artifact = {
  name: ${JSON.stringify(artifact.name)},
  plans: [
${printPlans(plans, shared)}  ],
${backward.length === 0 ? "" : `  backward: [\n${printPlans(backward, shared)}  ],\n`}${printDropout(dropout)}  sources: {
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

/** What plans compute that drop nothing. */
function printInference(pipeline: Pipeline): string {
  const { weights } = withoutDropout(pipeline);
  return `
/** What they compute in calls that give no \`dropoutSeed\`. */
const inference: Pipeline = { ...pipeline, weights: ${printLiteral(weights)} };
`;
}

/** Plans for calls that drop weights. */
function printDropout(dropout: Artifact["dropout"]): string {
  if (dropout === undefined) return "";
  const { plans, backward } = dropout;
  return `  dropout: {
    plans: [
${printPlans(plans, "pipeline", "      ")}    ],
    backward: [
${printPlans(backward, "pipeline", "      ")}    ],
  },
`;
}

function printPlans(plans: readonly Plan[], shared: string, indent = "    "): string {
  return plans.map((plan) => `${indent}${printPlan(plan, shared, indent)},\n`).join("");
}

/** A plan whose pipeline is a constant of the module: it is the same in all plans of a list. */
function printPlan(plan: Plan, shared: string, indent: string): string {
  const { pipeline: _shared, ...rest } = plan;
  const literal = printLiteral(rest, indent);
  return literal.startsWith("{\n")
    ? `{\n${indent}  ${shared},${literal.slice(1)}`
    : `{ ${shared}, ${literal.slice(2)}`;
}
