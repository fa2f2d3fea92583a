import { command } from "../command.ts";
import { type FlagsOf, given } from "../flag.ts";

export const CHECK = command({
  name: "check",
  summary: "report every error and warning in specs",
  description: "Report every error and warning in specs, without compiling them.",
  arguments: [["[spec...]", "spec files (.mta or .ts); default: those of mtac.config.ts"]],
  flags: { json: given("print the diagnostics as a JSON array") },
});

export type CheckFlags = FlagsOf<typeof CHECK.flags>;
