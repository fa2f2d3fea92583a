import type { Pipeline, Schedule } from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { type Candidate, dropped, legal } from "../candidate.ts";
import { buildChain, type ChainRole } from "../chain.ts";
import { addCosts } from "../cost.ts";
import { addEstimates } from "../cuda-cost.ts";
import type { PlanRequest } from "../machine.ts";
import {
  ALIGNED_ROWS,
  type DirectFusedKernel,
  type DirectFusedKnobs,
  directFusedKnobNames,
  directSinglePassPlan,
  directTwoPassKnobNames,
  directTwoPassPlan,
  fitDirectFused,
} from "./fused.ts";
import { directStagedKnobNames, fitDirectStaged } from "./staged.ts";

const TILES_Q = [4, 8, 16, 32, 64] as const;
const TILES_K = [16, 32, 64] as const;
const THREADS = [128, 256] as const;
const STAGED_TILES = [
  { tileQ: 64, tileK: 64 },
  { tileQ: 32, tileK: 64 },
  { tileQ: 64, tileK: 32 },
] as const;
const PRODUCT_TILES_Q = [16, 32, 64] as const;
const STRIP_ROWS = [128, 256, 512] as const;
/** Both maps of a strip: 32 MiB stay in the second-level cache of data-centre devices. */
const STRIP_BYTES = 32 * 2 ** 20;

/** How many of the two kernels' best geometries `two_pass` combines. */
const TWO_PASS_BEST = 3;

/** Candidates of one schedule on exact f32 units; the caller has checked that the schedule is legal. */
export function directCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  schedule: Schedule,
  architecture: CudaArchitecture,
): Candidate[] {
  switch (schedule) {
    case "single_pass":
      return singlePassCandidates(pipeline, request, architecture);
    case "two_pass":
      return twoPassCandidates(pipeline, request, architecture);
    case "staged":
      return stagedCandidates(pipeline, request, architecture);
  }
}

interface FusedKernels {
  readonly fitting: readonly DirectFusedKernel[];
  readonly dropped: readonly { readonly knobs: DirectFusedKnobs; readonly reason: string }[];
}

function fusedKernels(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  role: ChainRole,
): FusedKernels {
  const fitting: DirectFusedKernel[] = [];
  const without: { knobs: DirectFusedKnobs; reason: string }[] = [];
  for (const tileQ of TILES_Q) {
    for (const tileK of TILES_K) {
      const chain = buildChain(pipeline, role, tileQ, tileK, ALIGNED_ROWS);
      for (const threads of THREADS) {
        const knobs = { tileQ, tileK, threads };
        const fitted = fitDirectFused(pipeline, role, knobs, request, architecture, chain);
        if (fitted.fits) fitting.push(fitted.value);
        else without.push({ knobs, reason: fitted.reason });
      }
    }
  }
  fitting.sort((a, b) => a.cost.time - b.cost.time);
  return { fitting, dropped: without };
}

function singlePassCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
): Candidate[] {
  const kernels = fusedKernels(pipeline, request, architecture, "single_pass");
  return [
    ...kernels.fitting.map((kernel) =>
      legal("single_pass", directFusedKnobNames(kernel.knobs), {
        cost: kernel.cost,
        plan: () => directSinglePassPlan(pipeline, request, architecture, kernel),
        work: () => [kernel.work],
        estimate: kernel.estimate,
      }),
    ),
    ...kernels.dropped.map(({ knobs, reason }) =>
      dropped("single_pass", directFusedKnobNames(knobs), reason),
    ),
  ];
}

function twoPassCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
): Candidate[] {
  const first = fusedKernels(pipeline, request, architecture, "statistics");
  const second = fusedKernels(pipeline, request, architecture, "apply");
  const plans = first.fitting.slice(0, TWO_PASS_BEST).flatMap((statistics) =>
    second.fitting.slice(0, TWO_PASS_BEST).map((apply) =>
      legal("two_pass", directTwoPassKnobNames(statistics, apply), {
        cost: addCosts([statistics.cost, apply.cost]),
        plan: () => directTwoPassPlan(pipeline, request, architecture, { statistics, apply }),
        work: () => [statistics.work, apply.work],
        estimate: addEstimates([statistics.estimate, apply.estimate]),
      }),
    ),
  );
  const [pass, without] =
    first.fitting.length === 0 ? (["pass 1", first.dropped] as const) : (["pass 2", second.dropped] as const);
  return [
    ...plans,
    ...without.map(({ knobs, reason }) =>
      dropped("two_pass", directFusedKnobNames(knobs), `${pass}: ${reason}`),
    ),
  ];
}

function stagedCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
): Candidate[] {
  const knobs = STAGED_TILES.flatMap((tile) =>
    PRODUCT_TILES_Q.flatMap((productTileQ) =>
      THREADS.flatMap((productThreads) =>
        STRIP_ROWS.map((stripRows) => ({
          ...tile,
          productTileQ,
          productThreads,
          stripRows,
          stripBytes: STRIP_BYTES,
        })),
      ),
    ),
  );
  return knobs.map((each) => {
    const names = directStagedKnobNames(each);
    const fitted = fitDirectStaged(pipeline, request, architecture, each);
    if (!fitted.fits) return dropped("staged", names, fitted.reason);
    const { cost, plan, work, estimate } = fitted.value;
    return legal("staged", names, { cost, plan, work: () => work, estimate });
  });
}
