import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * A device that swallows what is written to it. Root, whose faulty program could replace the machine's own by a file, gets another one with
 * the same numbers in `folder`.
 */
export function nullDevice(folder: string): string {
  if (process.getuid?.() !== 0) return "/dev/null";
  const device = join(folder, "null-device");
  const { status, stderr } = spawnSync("mknod", [device, "c", "1", "3"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`mknod: ${stderr}`);
  return device;
}
