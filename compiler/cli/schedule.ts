import { SCHEDULES, type Schedule } from "../../runtime/contract/index.ts";

/** The schedule of that name; commander has checked it against the same list. */
export function scheduleOf(name: string | undefined): Schedule | undefined {
  return SCHEDULES.find((schedule) => schedule === name);
}
