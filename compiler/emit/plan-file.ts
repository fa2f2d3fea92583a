import type { Artifact } from "../../runtime/contract/index.ts";
import { printJson } from "./launcher/literal.ts";

/**
 * An artifact's plans as a file of their own, by name.
 *
 * @param suffix What stands between the attention's name and `.plan.json`: `.cuda` for CUDA.
 */
export function planFile(
  { name, plans, tuned, traces }: Artifact,
  suffix: string,
): Readonly<Record<string, string>> {
  const text = printJson({ name, plans, tuned, traces });
  return { [`${name}${suffix}.plan.json`]: text };
}
