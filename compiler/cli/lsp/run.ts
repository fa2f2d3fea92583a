import { packageVersion } from "../../package.ts";
import { onlyOverStdio } from "../errors.ts";
import type { LspFlags } from "./command.ts";

/** `mtac lsp`: never ends by itself; the connection ends the process, with the exit code that the protocol asks for. */
export async function run({ stdio }: LspFlags): Promise<never> {
  if (stdio !== true) throw onlyOverStdio();
  // What it is built on watches the editor's process from the moment on that it is loaded.
  const { serve } = await import("../../lsp/server.ts");
  serve({ input: process.stdin, output: process.stdout, version: packageVersion() });
  return new Promise<never>(() => {});
}
