import {
  type KernelPlan,
  type LibraryProgram,
  libraryFaults,
  type Plan,
} from "../../../runtime/contract/index.ts";
import { demandIn } from "./rules.ts";

/** What the C library can be told. */
export function verifyLibrary(plan: Plan, { name }: KernelPlan, { strip, block }: LibraryProgram): void {
  const demand = demandIn(plan, name);
  const faults = libraryFaults(plan);
  demand("strips", faults.length === 0, () => faults.join("; "));
  demand(
    "strips",
    plan.knobs["strip"] === strip && plan.knobs["block"] === block,
    () => `${strip} rows and ${block} keys where the knobs are ${JSON.stringify(plan.knobs)}`,
  );
}
