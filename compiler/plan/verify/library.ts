import type { KernelPlan, LibraryProgram, Plan } from "../../../runtime/contract/index.ts";
import { demandIn } from "./rules.ts";

/** What the C library can be told: whole tiles of rows, whole panels of keys, whatever the vectors' width. */
export function verifyLibrary(plan: Plan, { name }: KernelPlan, { strip, block }: LibraryProgram): void {
  const demand = demandIn(plan, name);
  demand("strips", strip >= 4 && strip % 4 === 0, () => `strips of ${strip} rows`);
  demand("strips", block >= 32 && block % 32 === 0, () => `blocks of ${block} keys`);
  demand(
    "strips",
    plan.knobs["strip"] === strip && plan.knobs["block"] === block,
    () => `${strip} rows and ${block} keys where the knobs are ${JSON.stringify(plan.knobs)}`,
  );
  const { threads } = plan.knobs;
  demand(
    "strips",
    threads === "all" || (typeof threads === "number" && Number.isInteger(threads) && threads > 0),
    () => `${threads} threads`,
  );
}
