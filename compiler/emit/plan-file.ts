import type { Artifact } from "../../runtime/contract/index.ts";
import { printJson } from "./launcher/literal.ts";

/** The file of an attention's plans. @param suffix What stands between its name and the ending: the launcher's, `.cuda` for CUDA. */
export function planFileName(attention: string, suffix: string): string {
  return `${attention}${suffix}.plan.json`;
}

/** An artifact's plans as a file of their own, by name. */
export function planFile(
  { name, plans, backward, dropout, tuned, tunedBackward, traces }: Artifact,
  suffix: string,
): Readonly<Record<string, string>> {
  const file = { name, plans, backward, dropout, tuned, tunedBackward, traces };
  return { [planFileName(name, suffix)]: printJson(file) };
}
