import type { Target } from "../../../runtime/contract/index.ts";
import { suggest } from "../../language/suggest.ts";
import { GPUS, type Gpu, gpuMachine } from "../../plan/index.ts";
import type { GpuOnTarget } from "../../report/roofline.ts";
import { DEFAULT_TARGET } from "../../targets.ts";
import { gpuWithoutTarget, unknownGpu } from "../errors.ts";

/** What `--gpu` takes besides names. */
const ALL = "all";

/**
 * The GPUs that `--gpu` and `--target` name together, in the table's order where it is `all`. A GPU serves the target asked for,
 * else the first that the table lists for it; without names those of the target, which is then the default one unless given.
 *
 * @throws MtacError MTA922 (no such GPU), MTA923 (a named one does not serve the target)
 */
export function chooseGpus(
  names: readonly string[] | undefined,
  target: Target | undefined,
): readonly GpuOnTarget[] {
  if (names === undefined || names.includes(ALL)) {
    for (const name of names ?? []) if (name !== ALL) gpuNamed(name);
    const wanted = names === undefined ? (target ?? DEFAULT_TARGET) : target;
    return GPUS.flatMap((gpu) => {
      const chosen = onTarget(gpu, wanted);
      return chosen === null ? [] : [chosen];
    });
  }
  return [...new Set(names.map(gpuNamed))].map((gpu) => {
    const chosen = onTarget(gpu, target);
    if (chosen !== null) return chosen;
    throw gpuWithoutTarget(
      gpu.name,
      target ?? DEFAULT_TARGET,
      gpu.targets.map((each) => each.target),
    );
  });
}

function onTarget(gpu: Gpu, wanted: Target | undefined): GpuOnTarget | null {
  const target = wanted ?? gpu.targets[0]?.target;
  if (target === undefined) return null;
  const machine = gpuMachine(gpu, target);
  return machine === null ? null : { gpu, machine };
}

function gpuNamed(name: string): Gpu {
  const lower = name.toLowerCase();
  const found = GPUS.find((gpu) => gpu.name === lower);
  if (found !== undefined) return found;
  const known = [...GPUS.map((gpu) => gpu.name), ALL];
  throw unknownGpu(name, known, suggest(lower, known));
}
