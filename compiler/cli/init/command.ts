import { command } from "../command.ts";
import { type FlagsOf, text } from "../flag.ts";
import * as shared from "../flags.ts";

export const INIT = command({
  name: "init",
  summary: "start a project: a spec, a page that runs it, a test",
  description:
    "Write a small project: a spec, TypeScript that runs it and compares it with the reference, a page built by Vite, a test. Existing files are never touched.",
  arguments: [["[dir]", "folder, made if need be", "."]],
  flags: {
    name: text("<name>", "the project's name (default: the folder's)"),
    json: shared.JSON_OBJECT,
  },
});

export type InitFlags = FlagsOf<typeof INIT.flags>;
