import type { LargestEntry, Pipeline } from "../../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "../bindings.ts";
import { WARP } from "../work.ts";
import { type BackwardStep, mapsOf } from "./graph.ts";
import type { BackwardKernel, BackwardTask, Largest } from "./kernel.ts";

// f16 holds gradients scaled by their largest entries: which ones are recorded, by which kernels, and who reads them.

/** Blocks that find the largest entry of a head; eight threads a row, they take 128 rows at a time. */
const PARTS = 16;
const LARGEST_WARPS = 2;

/** The buffer of the largest entries. */
export const LARGEST = mapOperand("largest", "largest", 1);

/** That of the rows of o's gradient, or of a map; null where it is not scaled. */
export function entryOf(
  { largest: { kinds, rows, maps } }: BackwardTask,
  d: number | undefined,
): LargestEntry | null {
  const at = d === undefined ? rows : (maps.get(d) ?? null);
  return at === null ? null : { at, of: kinds };
}

/** What a kernel reads that scales. */
export function scaledBy(scale: LargestEntry | null): readonly BoundResource[] {
  return scale === null ? [] : [LARGEST];
}

/** What finds the largest entry of a map where the kernel that writes it does not record it. */
function largestOf(
  { pipeline, machine }: BackwardTask,
  { name, source, halo }: BackwardKernel,
  { map, records }: { readonly map: string; readonly records: LargestEntry },
): BackwardKernel {
  return {
    name: `${name}_largest`,
    source,
    halo,
    program: { kind: "tensor_largest", warps: LARGEST_WARPS, parts: PARTS, records },
    workgroup: LARGEST_WARPS * WARP,
    workgroupBytes: 0,
    registers: 40,
    read: [mapOperand(map, "map", 1), "integers"],
    written: [LARGEST],
    grid: machine.mapGrid.rows(PARTS, pipeline.heads),
    multiplyAdds: pipeline.heads,
  };
}

/**
 * The gradients whose largest entries steps ask for, and the steps after which these are known.
 *
 * @param scaledMap The map of gradients that a step multiplies as f16.
 */
export function largestOfSteps(
  { storage }: Pipeline,
  steps: readonly BackwardStep[],
  scaledMap: (step: BackwardStep) => number | null,
): Largest {
  const maps = new Map<number, number>();
  const recorded = new Map<BackwardStep, number>();
  const rows = storage === "f16" ? 0 : null;
  let kinds = rows === null ? 0 : 1;
  for (const [index, step] of steps.entries()) {
    if (step.kind === "output_adjoint" && rows !== null) recorded.set(step, rows);
    const d = scaledMap(step);
    if (d === null || maps.has(d)) continue;
    const writer = steps.slice(0, index).findLast((each) => mapsOf(each).writes === d);
    if (writer !== undefined) recorded.set(writer, kinds);
    maps.set(d, kinds);
    kinds += 1;
  }
  return { kinds, rows, maps, recorded };
}

/** A step's kernel that records the largest entry of what it writes, or has one after it do so. */
export function recorded(
  task: BackwardTask,
  step: BackwardStep,
  kernel: BackwardKernel,
  map: string,
): readonly BackwardKernel[] {
  const { kinds, recorded } = task.largest;
  const at = recorded.get(step);
  if (at === undefined) return [kernel];
  const records = { at, of: kinds };
  const { program } = kernel;
  switch (program.kind) {
    case "output_adjoint":
    case "normalize_adjoint":
    case "tensor_pairs":
    case "tensor_conv":
    case "tensor_map_mix":
      return [
        {
          ...kernel,
          program: { ...program, records },
          // One binding: it may read another kind's.
          read: kernel.read.filter((each) => each !== LARGEST),
          written: [...kernel.written, LARGEST],
        },
      ];
    default:
      return [kernel, largestOf(task, kernel, { map, records })];
  }
}
