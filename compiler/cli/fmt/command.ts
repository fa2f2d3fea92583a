import { command } from "../command.ts";
import { type FlagsOf, given } from "../flag.ts";

export const FMT = command({
  name: "fmt",
  summary: "format specs in place",
  description: "Format specs in place. `-` reads stdin and writes stdout.",
  arguments: [["[spec...]", "spec files (.mta), or -; default: those of mtac.config.ts"]],
  flags: {
    check: given("change nothing; exit with 1 if a file is not formatted"),
    json: given("print a JSON array: file, whether it changed, its diagnostics"),
  },
});

export type FmtFlags = FlagsOf<typeof FMT.flags>;
