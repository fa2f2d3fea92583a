import { command } from "../command.ts";
import { type FlagsOf, given } from "../flag.ts";

export const DEVICES = command({
  name: "devices",
  summary: "list what `run` and `verify` can compute on, with limits and features",
  description: "List what `run` and `verify` can compute on, with limits and features.",
  arguments: [],
  flags: { json: given("print a JSON array") },
});

export type DevicesFlags = FlagsOf<typeof DEVICES.flags>;
