import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../package.ts";
import type { PeerTensor } from "./call.ts";
import { unavailable } from "./peer.ts";

/** A tensor in a file: what a peer's process or page is told of it. */
export interface StagedTensor extends Omit<PeerTensor, "data"> {
  readonly file: string;
}

/** A folder for what a peer reads and writes; `remove` never throws. */
export interface Scratch {
  readonly folder: string;
  file(name: string): string;
  remove(): Promise<void>;
}

export async function openScratch(): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), "mtac-peer-"));
  return {
    folder,
    file: (name) => join(folder, name),
    // A browser that was just killed may still write into its profile.
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined),
  };
}

/** Writes the tensors' bytes, each into a file of its own. */
export async function stageTensors(
  tensors: readonly PeerTensor[],
  scratch: Scratch,
): Promise<StagedTensor[]> {
  const staged: StagedTensor[] = [];
  for (const { name, type, dims, data } of tensors) {
    const file = scratch.file(`${name}.bin`);
    await writeFile(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    staged.push({ name, type, dims, file });
  }
  return staged;
}

/** Where peers' programs lie: beside these sources, and where a build puts them. */
const PROGRAMS = import.meta.url.endsWith(".ts") ? "compiler/bench/peers/programs" : "dist/peers";

/**
 * The program of a peer's process or page, which the package carries as it is.
 * @throws PeerError MTA940 when the package is not whole.
 */
export function peerProgram(name: string): string {
  const file = fileURLToPath(new URL(`${PROGRAMS}/${name}`, packageRoot()));
  if (!existsSync(file))
    throw unavailable(`mtac is not installed whole: ${file} is missing`, "install mtac again");
  return file;
}
