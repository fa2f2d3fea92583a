import type { Target } from "../../runtime/contract/index.ts";
import { AUTO_FLAVOUR, type LauncherFlavour, WASM_FLAVOUR } from "../emit/launcher/flavour.ts";
import { emitAttentionFiles, emitChoiceFiles, emitStackFiles, hasGradients } from "../emit/launcher/index.ts";
import { type ModuleTarget, moduleFacts } from "../targets.ts";
import { emissionOf } from "./emissions.ts";
import type { CompiledKernels } from "./kernels.ts";

/** The launchers of a spec's module. */
export function moduleFlavour(target: ModuleTarget): LauncherFlavour {
  if (target === "wasm") return WASM_FLAVOUR;
  return target === "auto" ? AUTO_FLAVOUR : emissionOf(target).flavour;
}

/**
 * The modules of a spec that is imported, as TypeScript, by file name.
 *
 * @param compiled With the kernels of all targets that such modules hold.
 * @param digestOf A short name for a text.
 */
export function launcherModules(
  { emitted, pipelines, stacks, provenance }: CompiledKernels,
  target: ModuleTarget,
  digestOf: (text: string) => string,
): Readonly<Record<string, string>> {
  const flavour = moduleFlavour(target);
  const files: Record<string, string> = {};
  const of = (held: Target) => emitted.get(held) ?? [];
  const [first] = moduleFacts(target).holds;
  if (target !== "auto")
    for (const each of of(first)) Object.assign(files, emitAttentionFiles(each, provenance, flavour));
  else
    for (const [index, pipeline] of pipelines.entries()) {
      const [webgpu, wasm] = [of("webgpu")[index]?.artifact, of("cpu")[index]?.artifact];
      if (webgpu === undefined || wasm === undefined)
        throw new RangeError(`${pipeline.name} lacks the kernels of a target`);
      Object.assign(files, emitChoiceFiles({ pipeline, artifacts: { webgpu, wasm } }, provenance, digestOf));
    }
  const grad = moduleFacts(target).holds.every((held) =>
    of(held).some(({ artifact }) => hasGradients(artifact)),
  );
  for (const each of stacks) Object.assign(files, emitStackFiles(each, provenance, flavour, grad));
  return files;
}
