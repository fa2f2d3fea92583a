import { DEFAULT_TARGET } from "../../targets.ts";
import { command } from "../command.ts";
import { type FlagsOf, given, withDefault } from "../flag.ts";
import * as shared from "../flags.ts";

export const TYPES = command({
  name: "types",
  summary: "write the types of imported specs",
  description:
    'Write a .d.ts beside each spec, for editors and tsc: what `import … from "./spec.mta"` gives in a build with mtac\'s bundler plugin.',
  arguments: [["[spec...]", "spec files (.mta); default: those of mtac.config.ts that are .mta files"]],
  flags: {
    check: given("write nothing; exit with 1 if a file is missing or not what it should be"),
    arbitraryExtensions: given(
      "write spec.d.mta.ts, for NodeNext with allowArbitraryExtensions, instead of spec.mta.d.ts (default where mtac.config.ts says so)",
    ),
    target: withDefault(shared.moduleTarget("whose launchers the build makes"), DEFAULT_TARGET),
    grad: given("the build has gradients, too (`grad: true`)"),
    json: shared.JSON_OBJECT,
  },
});

export type TypesFlags = FlagsOf<typeof TYPES.flags>;
