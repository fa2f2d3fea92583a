/**
 * `mtac/runtime/hot`: the runtime as Vite's development server gives it to the modules of specs. Launchers made here take new
 * kernels when their spec changes, in place: whoever holds one goes on with it. Nothing of this is in a production build.
 *
 * @packageDocumentation
 */
import { initParameters } from "./contract/init.ts";
import type { ParameterValues } from "./contract/parameters.ts";
import type { Pipeline } from "./contract/pipeline.ts";
import type { Artifact } from "./contract/plan.ts";
import type { HostTensor } from "./contract/tensor.ts";
import { HotLauncher } from "./hot-launcher.ts";
import { createLauncher, type Launcher, type LauncherOptions } from "./webgpu/launcher.ts";

export * from "./index.ts";
export { createHotLauncher as createLauncher };

/** What the kernels module of an attention exports. */
export interface SpecKernels {
  readonly artifact: Artifact;
  readonly pipeline: Pipeline;
}

/** What a spec's module holds, once for each time that it is loaded. */
export interface SpecVersion {
  /** The stacks and what tells their layers from others, as plain data. */
  readonly stacks: unknown;
  readonly kernels: readonly SpecKernels[];
  readonly exports: Readonly<Record<string, unknown>>;
  /** Makes the exports of this load those of a newer one. */
  follow(now: Readonly<Record<string, unknown>>): void;
}

interface Spec {
  newest: SpecVersion;
  readonly loads: SpecVersion[];
  /** Weakly: a launcher that nobody holds needs no new kernels. */
  readonly launchers: Map<string, Set<WeakRef<HotLauncher>>>;
}

const specs = new Map<string, Spec>();
const owners = new WeakMap<Artifact, Spec>();

/**
 * Called by the module of a spec whenever it is loaded. From the second time on, all live launchers get the new kernels: calls that
 * have begun end on the old ones, parameters stay where their names and shapes do, others start anew. When all have them, a
 * `CustomEvent` `mtac:swap` on `globalThis` names the attentions that changed (`detail.names`).
 *
 * @param key Tells the spec from others.
 * @returns False when what the module exports has changed, so that its importers must be loaded again; then nothing is swapped.
 */
export function publish(key: string, version: SpecVersion): boolean {
  const known = specs.get(key);
  const spec: Spec = known ?? { newest: version, loads: [], launchers: new Map() };
  specs.set(key, spec);
  for (const { artifact } of version.kernels) owners.set(artifact, spec);
  const { newest: before } = spec;
  spec.newest = version;
  if (known !== undefined) {
    if (signature(before) !== signature(version)) {
      // Modules that accept updates themselves get this load without a reload of the page; those before it have other exports.
      spec.loads.splice(0, spec.loads.length, version);
      return false;
    }
    for (const load of spec.loads) load.follow(version.exports);
    void swapAll(spec, before);
  }
  spec.loads.push(version);
  return true;
}

/** What importers rely on: names, the layers of stacks, and whether launchers can set parameters. */
function signature({ exports, stacks, kernels }: SpecVersion): string {
  const settable = kernels.filter(({ pipeline }) => pipeline.parameters.length > 0);
  return JSON.stringify([
    Object.keys(exports).toSorted(),
    stacks,
    settable.map(({ artifact }) => artifact.name),
  ]);
}

function kernelsOf({ kernels }: SpecVersion, name: string): SpecKernels | undefined {
  return kernels.find(({ artifact }) => artifact.name === name);
}

async function swapAll(spec: Spec, before: SpecVersion): Promise<void> {
  const changed = spec.newest.kernels.filter(
    (each) => JSON.stringify(each) !== JSON.stringify(kernelsOf(before, each.artifact.name)),
  );
  if (changed.length === 0) return;
  await Promise.all(
    changed.flatMap((kernels) => liveLaunchers(spec, kernels).map((each) => each.swap(kernels))),
  );
  const names = changed.map(({ artifact }) => artifact.name);
  console.info(`mtac: new kernels for ${names.join(", ")}`);
  // Node's, where pages are rendered on the server, may have no events.
  if (typeof globalThis.dispatchEvent === "function")
    globalThis.dispatchEvent(new CustomEvent("mtac:swap", { detail: { names } }));
}

function liveLaunchers(spec: Spec, { artifact }: SpecKernels): readonly HotLauncher[] {
  const known = spec.launchers.get(artifact.name) ?? new Set();
  return [...known].flatMap((reference) => {
    const launcher = reference.deref();
    if (launcher !== undefined && !launcher.destroyed) return [launcher];
    known.delete(reference);
    return [];
  });
}

/** As `createLauncher` of `mtac/runtime`, with the newest kernels of the artifact's spec, and with newer ones when they come. */
async function createHotLauncher(
  device: GPUDevice,
  artifact: Artifact,
  parameters: ParameterValues,
  options: LauncherOptions = {},
): Promise<Launcher> {
  const spec = owners.get(artifact);
  const newest = spec === undefined ? undefined : kernelsOf(spec.newest, artifact.name);
  if (spec === undefined || newest === undefined)
    return createLauncher(device, artifact, parameters, options);
  const values = newest.artifact === artifact ? parameters : carryOver(parameters, newest.pipeline);
  const create = (on: GPUDevice, kernels: SpecKernels, given: ParameterValues): Promise<Launcher> =>
    createLauncher(on, kernels.artifact, given, options);
  const hot = new HotLauncher(await create(device, newest, values), {
    create: (kernels, given) => create(device, kernels, given),
    carryOver,
    rebuild: (on, given) => createHotLauncher(on, artifact, given, options),
  });
  const launchers = spec.launchers.get(artifact.name) ?? new Set();
  spec.launchers.set(artifact.name, launchers.add(new WeakRef(hot)));
  const now = kernelsOf(spec.newest, artifact.name);
  // The spec may have changed while the kernels were compiled.
  if (now !== undefined && now !== newest) await hot.swap(now);
  return hot.launcher;
}

/** The parameters of a pipeline: given ones where name and shape fit, initial ones elsewhere. */
function carryOver(
  given: ParameterValues,
  pipeline: Pipeline,
): ReadonlyMap<string, HostTensor | Float32Array> {
  const initial = initParameters(pipeline);
  const fresh: string[] = [];
  const values = new Map(
    [...initial].map(([name, tensor]): [string, HostTensor | Float32Array] => {
      const value = given.get(name);
      if (value !== undefined && fits(value, tensor)) return [name, value];
      fresh.push(name);
      return [name, tensor];
    }),
  );
  if (fresh.length > 0)
    console.info(`mtac: parameters of ${pipeline.name} that start anew: ${fresh.join(", ")}`);
  return values;
}

function fits(value: HostTensor | Float32Array, { shape, data }: HostTensor): boolean {
  return "shape" in value ? String(value.shape) === String(shape) : value.length === data.length;
}
