import type { Plan } from "../../../runtime/contract/index.ts";
import { affordable, type Candidate, candidateOf, unexplored } from "../candidate.ts";
import { whereFits } from "../fit.ts";
import { graphOf } from "../graph.ts";
import type { GpuTask, Tile } from "../machine.ts";
import type { OptionName } from "../options.ts";
import { type Predicted, predict } from "../predict.ts";
import { mapWork } from "../scalar-work.ts";
import { mapKernels, type ProductKnobs, productKernel, type ScalarStripKernel } from "./staged-kernels.ts";
import { routeMaps, stagedChoice } from "./staged-plan.ts";
import { forcedStrips, type StripKnobs } from "./strips.ts";

/** What changes the strips of staged plans: see `forcedStrips`. */
export const STAGED_OPTIONS: readonly OptionName[] = ["stripRows", "stripBytes"];

/** Strips of f32 maps: with fewer than 16 rows the halo would cost more than the strip. */
const STRIPS = { entryBytes: 4, leastRows: 16, multiple: 4 } as const;

/** Candidates of strips of query rows, one kernel an operation, with maps of a strip in buffers that take turns. */
export function stagedCandidates(request: GpuTask): readonly Candidate[] {
  const task = { ...request, skipDead: true };
  const { staged, lowering } = task.machine;
  const routes = routeMaps(graphOf(task.pipeline).ops);
  const { taken, left } = affordable(staged.tiles, routes.length * staged.stripRows.length);
  const strips = staged.stripRows.map((stripRows) =>
    forcedStrips({ ...STRIPS, stripRows, stripBytes: staged.stripBytes, skipDead: true }, task.options),
  );
  // What several candidates share is made once.
  const products = staged.productTilesQ.flatMap((productTileQ) =>
    staged.productWorkgroups.map((productWorkgroup) => {
      const knobs = { productTileQ, productWorkgroup };
      const fitted = whereFits(productKernel(task, routes, knobs), (kernel) =>
        strips.map((each) => predictOver(task, each, [kernel])),
      );
      return { knobs, fitted };
    }),
  );
  const candidates = taken.flatMap((tile) => {
    const kernels = mapKernels(task, routes, tile);
    const maps = strips.map((each) => predictOver(task, each, kernels));
    return products.flatMap(({ knobs, fitted }) =>
      strips.map((own, index) => {
        const choice = whereFits(fitted, (product) =>
          stagedChoice(task, routes, own, [...(maps[index] ?? []), ...(product[index] ?? [])]),
        );
        return candidateOf(task, "staged", knobNames(task, tile, knobs, own), choice);
      }),
    );
  });
  return [
    ...candidates,
    ...left.map(({ tileQ, tileK }) =>
      unexplored("staged", { ...lowering, tile_q: tileQ, tile_k: tileK }, routes.length),
    ),
  ];
}

/**
 * The pipeline as most code computes it: the kernels of `staged` over one strip of all rows, with whole maps in memory and nothing
 * skipped.
 */
export function unfusedCandidate(request: GpuTask): Candidate {
  const task = { ...request, skipDead: false };
  const whole = Number.MAX_SAFE_INTEGER;
  const strips = { ...STRIPS, stripRows: whole, stripBytes: whole, skipDead: false };
  const knobs = { tileQ: 32, tileK: 32, productTileQ: 16, productWorkgroup: 64 };
  const routes = routeMaps(graphOf(task.pipeline).ops);
  const choice = whereFits(productKernel(task, routes, knobs), (product) => {
    const kernels = [...mapKernels(task, routes, knobs), product];
    return stagedChoice(task, routes, strips, predictOver(task, strips, kernels));
  });
  return candidateOf(task, "staged", knobNames(task, knobs, knobs, strips), choice);
}

function predictOver(
  task: GpuTask,
  strips: StripKnobs,
  kernels: readonly ScalarStripKernel[],
): readonly Predicted<ScalarStripKernel>[] {
  return kernels.map((kernel) => predict(task, kernel, mapWork(task, kernel, strips)));
}

/** The knobs as a spec's `tune` block names them. */
function knobNames(
  { machine }: GpuTask,
  { tileQ, tileK }: Tile,
  { productTileQ, productWorkgroup }: ProductKnobs,
  { stripRows }: StripKnobs,
): Plan["knobs"] {
  return {
    ...machine.lowering,
    tile_q: tileQ,
    tile_k: tileK,
    product_tile_q: productTileQ,
    product_workgroup: productWorkgroup,
    strip_rows: stripRows,
  };
}
