import { command } from "../command.ts";
import { type FlagsOf, given } from "../flag.ts";

export const VERSION = command({
  name: "version",
  summary: "print the versions of mtac and Node, and the platform",
  description: "Print the versions of mtac and Node, and the platform.",
  arguments: [],
  flags: { json: given("print a JSON object") },
});

export type VersionFlags = FlagsOf<typeof VERSION.flags>;
