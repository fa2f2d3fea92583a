import type { Artifact, Pipeline, Plan } from "../../../runtime/contract/index.ts";
import { printLiteral, printTemplate } from "./literal.ts";

/** The module that holds an attention's plans and its kernels' text, so that the launcher loads no files. */
export function printKernelsModule(header: string, pipeline: Pipeline, artifact: Artifact): string {
  const plans = artifact.plans.map((plan) => `    ${printPlan(plan)},\n`).join("");
  const sources = Object.entries(artifact.sources)
    .map(([file, text]) => `    ${JSON.stringify(file)}: ${printTemplate(text)},\n`)
    .join("");
  return `${header}
import type { Artifact, Pipeline } from "mtac/runtime";

/** What the kernels compute, every default of the spec filled in. */
export const pipeline: Pipeline = ${printLiteral(pipeline)};

/** Plans, the most preferred first, and the kernels that they name. */
export const artifact: Artifact = {
  name: ${JSON.stringify(artifact.name)},
  plans: [
${plans}  ],
  sources: {
${sources}  },
};
`;
}

/** A plan whose pipeline is the module's constant: it is the same in all plans. */
function printPlan(plan: Plan): string {
  const { pipeline: _shared, ...rest } = plan;
  const literal = printLiteral(rest, "    ");
  return literal.startsWith("{\n")
    ? `{\n      pipeline,${literal.slice(1)}`
    : `{ pipeline, ${literal.slice(2)}`;
}
