import type { CallSize } from "../../../runtime/contract/expand.ts";
import {
  adjointReach,
  convReach,
  type FusedProgram,
  type KernelPlan,
  type Plan,
  type Reach,
  type StageIndex,
} from "../../../runtime/contract/index.ts";
import { keyRanges } from "../../ir/index.ts";
import { type Demand, demandIn } from "./rules.ts";
import { type Ran, runPlan } from "./run.ts";
import { linearAt, weightsPast } from "./stages.ts";

/** What a dispatch writes: rows [begin, end) of batch entries [batch, batch + batches). */
interface Written {
  readonly begin: number;
  readonly end: number;
  readonly batch: number;
  readonly batches: number;
}

/** Tiles of rows, of keys, and of heads that a kernel's workgroups compute one each. */
interface Tiling {
  readonly rows: number;
  /** Infinite where a workgroup computes all keys. */
  readonly keys: number;
  readonly heads: number;
}

const ALL_KEYS = Number.POSITIVE_INFINITY;

/** Whether blocks share the keys of a dispatch's only tile. */
function isShared({ splits }: FusedProgram, { parts = 1 }: Ran["launch"]): boolean {
  return splits && parts > 1;
}

/** Kernels that add up what others have left of rows: those write no results then. */
const COMBINING: readonly unknown[] = ["combine", "tensor_combine"];

function tilingOf(plan: Plan, { kernel, grid, launch, variables }: Ran): Tiling | null {
  const { heads } = plan.pipeline;
  const { program } = kernel;
  switch (program?.kind) {
    case "fused":
      // Blocks share a tile's keys, of which a dispatch may have some.
      return {
        rows: program.tileQ,
        keys: ALL_KEYS,
        heads: (heads / program.headBlock) * (isShared(program, launch) ? grid[0] : 1),
      };
    case "scores":
    case "conv":
    case "dropout":
      return { rows: program.tileQ, keys: program.tileK, heads };
    case "mix":
      return { rows: program.tileQ, keys: program.tileK, heads: heads / program.outputs };
    case "normalize":
      return { rows: kernel.workgroupSize / program.team, keys: ALL_KEYS, heads };
    case "combine":
    case "product":
      return { rows: program.tileQ, keys: ALL_KEYS, heads };
    case "tensor_tile": {
      const rows = program.warps * 16 * program.rowBlocks;
      if (program.sink === "map") return { rows, keys: program.map?.chunk ?? 0, heads };
      // Blocks share a tile's keys, those of the border's kernel never.
      const shares = program.splits && program.keys !== "border" ? (variables["splits"] ?? 1) : 1;
      return { rows, keys: ALL_KEYS, heads: heads * shares };
    }
    case "tensor_statistics":
      return { rows: program.warps * (32 / program.lanes), keys: ALL_KEYS, heads };
    case "tensor_combine":
      return { rows: program.warps, keys: ALL_KEYS, heads };
    case "tensor_product":
    case "tensor_row_product":
      return { rows: program.warps * 16 * program.rowBlocks, keys: ALL_KEYS, heads };
    case "tensor_conv":
      return { rows: program.warps * 16, keys: program.blockKeys, heads };
    case "tensor_map_mix":
      return { rows: program.tileQ, keys: program.blockKeys, heads: Math.ceil(heads / program.heads) };
    case "tensor_pairs":
      return { rows: program.warps * 16 * program.rowBlocks, keys: program.blockKeys, heads };
    // How many rows and heads a workgroup mixes, and how many keys it folds, stands in their templates.
    case "tensor_mix":
    case "tensor_fold":
    // A library takes whole batch entries.
    case "library":
    case undefined:
      return null;
    // Kernels of backward passes: `gradients.ts` says what they cover.
    default:
      return null;
  }
}

/** Where a fused kernel's tiles lie, which need not be all of the dispatch's rows. */
function rowsOf({ kernel, grid, launch, variables }: Ran): { begin: number; end: number } {
  // What has no rows, keys of all of them, serves all rows.
  const { row_begin: begin = 0, row_end: end = variables["Lq"] ?? 0, first_tile: first = 0 } = launch;
  if (kernel.program?.kind !== "fused" || isShared(kernel.program, launch)) return { begin, end };
  const { tileQ } = kernel.program;
  return { begin: begin + first * tileQ, end: Math.min(end, begin + (first + grid[0]) * tileQ) };
}

/** The keys of a strip: kernels whose columns end with their grid do not ask where they end. */
function keysOf({ launch, variables }: Ran): { begin: number; end: number } {
  return { begin: launch.key_begin ?? 0, end: launch.key_end ?? variables["key_end"] ?? 0 };
}

/** Keys that a dispatch's workgroups share among them: whole steps of tensor cores' maps. */
function sharedKeys(ran: Ran): number {
  const { begin, end } = keysOf(ran);
  return (ran.kernel.program?.kind === "tensor_tile" ? Math.ceil(end / 64) * 64 : end) - begin;
}

/** What a dispatch writes, from the number of its workgroups. */
function writtenBy(plan: Plan, ran: Ran, demand: Demand): Written {
  const { begin, end } = rowsOf(ran);
  const batch = ran.launch.batch ?? ran.variables["batch"] ?? 0;
  const [x, y, z] = ran.grid;
  const tiling = tilingOf(plan, ran);
  if (tiling === null) return { begin, end, batch, batches: ran.variables["batches"] ?? z };
  const keys = tiling.keys === ALL_KEYS ? 1 : Math.ceil(sharedKeys(ran) / tiling.keys);
  const each = Math.ceil((end - begin) / tiling.rows) * keys * tiling.heads;
  const batches = (x * y * z) / each;
  demand(
    "grid",
    Number.isInteger(batches),
    () => `${x} × ${y} × ${z} workgroups, ${each} a batch entry for rows ${begin} to ${end}`,
  );
  return { begin, end, batch, batches };
}

/** Rows around those that a kernel writes which it reads of its map. */
function mapReach(
  plan: Plan,
  { program, bindings }: KernelPlan,
  resource: string,
  demand: Demand,
): Pick<Reach, "past" | "future"> {
  const reachOf = (stage: StageIndex): Reach => convReach(linearAt(demand, plan.pipeline, stage, "conv"));
  if ((program?.kind === "conv" || program?.kind === "tensor_conv") && program.adjoint)
    return adjointReach(reachOf(program.stage));
  if (program?.kind === "conv_gradient" || program?.kind === "tensor_conv_gradient") {
    // Of what the convolution was given its own rows, and the gradients of all rows that have read them.
    const bound = bindings.find((binding) => binding.resource === resource);
    return bound?.operand?.variable === "d" ? adjointReach(reachOf(program.stage)) : { past: 0, future: 0 };
  }
  // What writes exponentials asks for what the softmax of these rows keeps, of no others.
  const ownOnly =
    resource === "statistics" && program?.kind === "tensor_tile" && program.map?.exponentials === true;
  if (ownOnly) return { past: 0, future: 0 };
  const at =
    program?.kind === "conv" || program?.kind === "tensor_conv"
      ? program.stage
      : program?.kind === "tensor_tile"
        ? program.conv?.stage
        : undefined;
  return at === undefined ? { past: 0, future: 0 } : reachOf(at);
}

/** A strip's maps hold all that the dispatch touches. */
function checkMap(
  plan: Plan,
  ran: Ran,
  written: Written,
  { bytes, entry }: { readonly bytes: number; readonly entry: number },
  call: CallSize,
  demand: Demand,
): void {
  const { map_row_stride: stride = 0, map_head_stride: headStride = 0, strip_row: first = 0 } = ran.launch;
  const keys = keysOf(ran);
  demand(
    "maps",
    first <= written.begin && (written.end - first) * stride <= headStride,
    () =>
      `rows ${written.begin} to ${written.end} of maps that begin with ${first}, ${headStride} words a head`,
  );
  demand(
    "maps",
    entry * written.batches * plan.pipeline.heads * headStride <= bytes,
    () => `${written.batches} entries of ${headStride} words a head in ${bytes} bytes`,
  );
  demand(
    "maps",
    0 <= keys.begin &&
      keys.begin <= keys.end &&
      keys.end <= call.Lk &&
      Math.ceil(keys.end / 64) * 64 <= stride,
    () => `keys ${keys.begin} to ${keys.end} of rows of ${stride}`,
  );
}

/** A strip's keys are all that its rows see. */
function checkKeys(
  { pipeline }: Plan,
  ran: Ran,
  { begin, end }: Written,
  call: CallSize,
  demand: Demand,
): void {
  // With positions, only the kernels know.
  const [low, high] = call.positions ? [0, call.Lk] : keyRanges(pipeline, call)(begin, end - 1);
  const keys = keysOf(ran);
  demand(
    "keys",
    low >= high || (keys.begin <= low && high <= keys.end),
    () => `rows ${begin} to ${end} see keys ${low} to ${high}, not ${keys.begin} to ${keys.end}`,
  );
}

interface Reading {
  readonly plan: Plan;
  readonly call: CallSize;
  readonly written: ReadonlyMap<string, readonly Written[]>;
}

/** What a dispatch reads of the workspace was written before, in the same entries, all rows that exist. */
function checkRead(
  { plan, call, written }: Reading,
  ran: Ran,
  resource: string,
  own: Written,
  demand: Demand,
): void {
  const { program } = ran.kernel;
  const fused = program?.kind === "fused" || (program?.kind === "tensor_tile" && program.sink === "product");
  const around = fused
    ? { past: weightsPast(plan.pipeline), future: 0 }
    : mapReach(plan, ran.kernel, resource, demand);
  const begin = Math.max(-call.R, own.begin - around.past);
  const end = Math.min(call.Lq, own.end + around.future);
  // Parts are no rows: one kernel has left them, and the next one adds them up.
  if (program?.kind === "sum") {
    demand("rows", written.has(resource), () => `nothing leaves "${resource}"`);
    return;
  }
  const allRows = COMBINING.includes(program?.kind) || resource === "folded_keys";
  const entries = (held: Written): boolean =>
    held.batch <= own.batch && held.batch + held.batches >= own.batch + own.batches;
  demand(
    "rows",
    written
      .get(resource)
      ?.some((held) => entries(held) && (allRows || (held.begin <= begin && held.end >= end))) === true,
    () =>
      `reads rows ${begin} to ${end} of "${resource}" of ${own.batches} entries from ${own.batch}, which holds ${JSON.stringify(written.get(resource) ?? [])}`,
  );
}

/** What both hold, where one follows the other along the rows or the entries. */
function together(a: Written, b: Written): Written | null {
  if (a.batch === b.batch && a.batches === b.batches && a.end === b.begin) return { ...a, end: b.end };
  const follows = a.begin === b.begin && a.end === b.end && a.batch + a.batches === b.batch;
  return follows ? { ...a, batches: a.batches + b.batches } : null;
}

/** What a buffer holds after a further dispatch: maps and what they are relative to begin anew with every strip, tables fill up. */
function grown(resource: string, before: readonly Written[], own: Written): readonly Written[] {
  const held = /^(references_)?map_/.test(resource) ? [] : [...before];
  let last = own;
  for (let previous = held.at(-1); previous !== undefined; previous = held.at(-1)) {
    const both = together(previous, last);
    if (both === null) break;
    held.pop();
    last = both;
  }
  return [...held, last];
}

/** Every row of every entry is written once, entries and then rows one after the other. */
function checkCoverage(plan: Plan, results: readonly Written[], { B, Lq }: CallSize): void {
  const demand = demandIn(plan, null);
  let batch = 0;
  let row = 0;
  for (const each of results) {
    demand(
      "coverage",
      each.batch === batch && each.begin === row && each.end <= Lq,
      () => `rows ${each.begin} to ${each.end} of entry ${each.batch} where row ${row} of ${batch} is next`,
    );
    row = each.end;
    if (row < Lq) continue;
    row = 0;
    batch += each.batches;
  }
  demand("coverage", batch === B && row === 0, () => `${batch} of ${B} entries are written`);
}

/** Everything that a plan does for one call. */
export function verifyCall(plan: Plan, call: CallSize): void {
  const { dispatches, buffers } = runPlan(plan, call);
  const written = new Map<string, readonly Written[]>();
  const results: Written[] = [];
  const rowResult = plan.direction === "backward" ? "d_q" : "o";
  const combined = dispatches.some(({ kernel }) => COMBINING.includes(kernel.program?.kind));
  for (const ran of dispatches) {
    const demand = demandIn(plan, ran.kernel.name);
    const own = writtenBy(plan, ran, demand);
    demand(
      "rows",
      -call.R <= own.begin && own.begin < own.end && own.end <= call.Lq,
      () => `rows ${own.begin} to ${own.end} of ${-call.R} to ${call.Lq}`,
    );
    demand(
      "grid",
      own.batch >= 0 && own.batches >= 1 && own.batch + own.batches <= call.B,
      () => `entries ${own.batch} to ${own.batch + own.batches} of ${call.B}`,
    );
    for (const { resource, access, operand } of ran.kernel.bindings) {
      const bytes = buffers.get(resource);
      const isLast = !combined || COMBINING.includes(ran.kernel.program?.kind);
      // Rows of history have a gradient of their own.
      if (resource === rowResult && isLast && own.end > 0)
        results.push({ ...own, begin: Math.max(0, own.begin) });
      if (bytes === undefined) continue;
      if (resource.startsWith("map_")) {
        checkMap(plan, ran, own, { bytes, entry: operand?.element === "f16" ? 2 : 4 }, call, demand);
        checkKeys(plan, ran, own, call, demand);
      }
      if (access === "read") checkRead({ plan, call, written }, ran, resource, own, demand);
      else written.set(resource, grown(resource, written.get(resource) ?? [], own));
    }
  }
  checkCoverage(plan, results, call);
}
