import { createRequire } from "node:module";
import { join } from "node:path";
import { unavailable } from "./peer.ts";

/**
 * The file that `require` would load for a package, asked from a folder of the user's project.
 * @throws PeerError MTA940: there is no such package.
 */
export function findPackage(specifier: string, resolveFrom: string, install: string): string {
  try {
    // Any file name: a module in that folder is what looks the package up.
    return createRequire(join(resolveFrom, "mtac.cjs")).resolve(specifier);
  } catch (cause) {
    throw unavailable(
      `the package ${specifier.replace(/\/webgpu$/, "")} is not installed in ${resolveFrom}`,
      install,
      cause,
    );
  }
}
