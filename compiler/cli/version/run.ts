import { packageVersion } from "../../package.ts";
import { openOutput } from "../../terminal/output.ts";
import type { VersionFlags } from "./command.ts";

/** `mtac version` */
export function run(flags: VersionFlags): void {
  const output = openOutput(flags);
  const mtac = packageVersion();
  const { node } = process.versions;
  output.text(`mtac ${mtac} (Node ${node}, ${process.platform} ${process.arch})`);
  output.result({ mtac, node, platform: process.platform, architecture: process.arch });
}
