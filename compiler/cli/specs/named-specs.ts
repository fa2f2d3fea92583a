import { relative } from "node:path";
import { specNeeded } from "../errors.ts";

/**
 * The specs that a command takes: those named, else those of the project's config.
 * @throws MtacError MTA927 where there are none; those of `loadConfig`.
 */
export async function namedSpecs(command: string, files: readonly string[]): Promise<readonly string[]> {
  if (files.length > 0) return files;
  const { loadConfig } = await import("../../config/load.ts");
  const { file, config } = await loadConfig(".");
  const { specs = [] } = config;
  if (specs.length === 0) throw specNeeded(command, file);
  return specs.map((spec) => relative(".", spec));
}
