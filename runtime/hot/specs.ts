import { initParameters } from "../contract/init.ts";
import type { ParameterValues } from "../contract/parameters.ts";
import type { Pipeline } from "../contract/pipeline.ts";
import type { HostTensor } from "../contract/tensor.ts";
import { HotLauncher, type SwappableLauncher } from "./launcher.ts";

/** An attention's kernels, or what loads them; its name, and all else that JSON shows of it, tell it from others. */
export interface NamedKernels {
  readonly name: string;
}

/** What the kernels module of an attention exports. */
export interface SpecKernels<Artifact extends NamedKernels> {
  readonly artifact: Artifact;
  readonly pipeline: Pipeline;
}

/** What a spec's module holds, once for each time that it is loaded. */
export interface SpecVersion<Artifact extends NamedKernels> {
  /** The stacks and what tells their layers from others, as plain data. */
  readonly stacks: unknown;
  readonly kernels: readonly SpecKernels<Artifact>[];
  readonly exports: Readonly<Record<string, unknown>>;
  /** Makes the exports of this load those of a newer one. */
  follow(now: Readonly<Record<string, unknown>>): void;
}

interface Spec<Device, Artifact extends NamedKernels, Launcher extends SwappableLauncher> {
  newest: SpecVersion<Artifact>;
  readonly loads: SpecVersion<Artifact>[];
  /** Weakly: a launcher that nobody holds needs no new kernels. */
  readonly launchers: Map<string, Set<WeakRef<HotLauncher<Device, SpecKernels<Artifact>, Launcher>>>>;
}

/** How a runtime makes a launcher. */
type Create<Device, Artifact, Options, Launcher> = (
  device: Device,
  artifact: Artifact,
  parameters: ParameterValues,
  options?: Options,
) => Promise<Launcher>;

/** The specs that a page has loaded, and the launchers of one runtime that are made from them. */
export class HotSpecs<Device, Artifact extends NamedKernels, Options, Launcher extends SwappableLauncher> {
  readonly #create: Create<Device, Artifact, Options, Launcher>;
  readonly #specs = new Map<string, Spec<Device, Artifact, Launcher>>();
  readonly #owners = new WeakMap<Artifact, Spec<Device, Artifact, Launcher>>();

  constructor(create: Create<Device, Artifact, Options, Launcher>) {
    this.#create = create;
  }

  /**
   * Called by the module of a spec whenever it is loaded. From the second time on, all live launchers get the new kernels: calls that
   * have begun end on the old ones, parameters stay where their names and shapes do, others start anew. When all have them, a
   * `CustomEvent` `mtac:swap` on `globalThis` names the attentions that changed (`detail.names`).
   *
   * @param key Tells the spec from others.
   * @returns False when what the module exports has changed, so that its importers must be loaded again; then nothing is swapped.
   */
  publish(key: string, version: SpecVersion<Artifact>): boolean {
    const known = this.#specs.get(key);
    const spec: Spec<Device, Artifact, Launcher> = known ?? {
      newest: version,
      loads: [],
      launchers: new Map(),
    };
    this.#specs.set(key, spec);
    for (const { artifact } of version.kernels) this.#owners.set(artifact, spec);
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

  /** As the runtime's own, with the newest kernels of the artifact's spec, and with newer ones when they come. */
  create = async (
    device: Device,
    artifact: Artifact,
    parameters: ParameterValues,
    options?: Options,
  ): Promise<Launcher> => {
    const spec = this.#owners.get(artifact);
    const newest = spec === undefined ? undefined : kernelsOf(spec.newest, artifact.name);
    if (spec === undefined || newest === undefined)
      return this.#create(device, artifact, parameters, options);
    const values = newest.artifact === artifact ? parameters : carryOver(parameters, newest.pipeline);
    const create = (on: Device, kernels: SpecKernels<Artifact>, given: ParameterValues): Promise<Launcher> =>
      this.#create(on, kernels.artifact, given, options);
    const hot = new HotLauncher<Device, SpecKernels<Artifact>, Launcher>(
      await create(device, newest, values),
      {
        create: (kernels, given) => create(device, kernels, given),
        carryOver,
        rebuild: (on, given) => this.create(on, artifact, given, options),
      },
    );
    const launchers = spec.launchers.get(artifact.name) ?? new Set();
    spec.launchers.set(artifact.name, launchers.add(new WeakRef(hot)));
    const now = kernelsOf(spec.newest, artifact.name);
    // The spec may have changed while the kernels were compiled.
    if (now !== undefined && now !== newest) await hot.swap(now);
    return hot.launcher;
  };
}

/** What importers rely on: names, the layers of stacks, and whether launchers can set parameters. */
function signature({ exports, stacks, kernels }: SpecVersion<NamedKernels>): string {
  const settable = kernels.filter(({ pipeline }) => pipeline.parameters.length > 0);
  return JSON.stringify([
    Object.keys(exports).toSorted(),
    stacks,
    settable.map(({ artifact }) => artifact.name),
  ]);
}

function kernelsOf<Artifact extends NamedKernels>(
  { kernels }: SpecVersion<Artifact>,
  name: string,
): SpecKernels<Artifact> | undefined {
  return kernels.find(({ artifact }) => artifact.name === name);
}

async function swapAll<Device, Artifact extends NamedKernels, Launcher extends SwappableLauncher>(
  spec: Spec<Device, Artifact, Launcher>,
  before: SpecVersion<Artifact>,
): Promise<void> {
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

function liveLaunchers<Device, Artifact extends NamedKernels, Launcher extends SwappableLauncher>(
  spec: Spec<Device, Artifact, Launcher>,
  { artifact }: SpecKernels<Artifact>,
): readonly HotLauncher<Device, SpecKernels<Artifact>, Launcher>[] {
  const known = spec.launchers.get(artifact.name) ?? new Set();
  return [...known].flatMap((reference) => {
    const launcher = reference.deref();
    if (launcher !== undefined && !launcher.destroyed) return [launcher];
    known.delete(reference);
    return [];
  });
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
