import { basename } from "node:path";
import { emitDeclarations } from "../emit/launcher/index.ts";
import { resolve } from "../ir/index.ts";
import type { CheckedSpec } from "../language/index.ts";
import { packageVersion } from "../package.ts";
import { DEFAULT_TARGET, type ModuleTargetName, wantedModuleTarget } from "../targets.ts";
import { moduleFlavour } from "./modules.ts";

/**
 * The types of `import … from "./spec.mta"`, as a `.d.ts`: all attentions and stacks of a spec in one module. Plans nothing, so it
 * is quick, and no limit of a device can make it fail.
 *
 * @param target Whose launchers the module holds.
 * @param grad Whether there are gradients.
 */
export function declareChecked(
  spec: CheckedSpec,
  target: ModuleTargetName = DEFAULT_TARGET,
  grad = false,
): string {
  // Without folders: what is emitted must not depend on where it was made.
  const file = basename(spec.file);
  const pipelines = new Map(
    spec.attentions.map((attention) => [attention.name, resolve(attention, file)] as const),
  );
  const stacks = spec.stacks.map(({ name, attentions }) => ({
    name,
    layers: attentions.flatMap((attention) => pipelines.get(attention) ?? []),
  }));
  return emitDeclarations(
    [...pipelines.values()],
    stacks,
    { version: packageVersion(), spec: file },
    moduleFlavour(wantedModuleTarget(target)),
    grad,
  );
}
