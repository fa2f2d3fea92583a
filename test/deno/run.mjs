// `node test/deno/run.mjs [SEED]`: program.ts under Deno with Mesa's lavapipe, which comes with
// `apt-get install -y mesa-vulkan-drivers`. A driver elsewhere is named by VK_DRIVER_FILES, as for every Vulkan program.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version that was tried; fetched from npm when it is not in npm's cache. */
const DENO = "deno@2.9.6";
const MANIFESTS = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

const folder = dirname(fileURLToPath(import.meta.url));

/** The manifest of lavapipe: other drivers, if there are any, need not have f16. */
function lavapipe() {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  const named = VK_DRIVER_FILES ?? VK_ICD_FILENAMES;
  if (named !== undefined) return named;
  for (const place of MANIFESTS) {
    const file = existsSync(place) && readdirSync(place).find((name) => name.startsWith("lvp_icd"));
    if (file) return join(place, file);
  }
  return null;
}

const manifest = lavapipe();
if (manifest === null) {
  console.error("Mesa's lavapipe is not installed: apt-get install -y mesa-vulkan-drivers");
  console.log("0 passed, 1 failed");
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), "mtac-deno-"));
try {
  const program = [
    "run",
    "--unstable-webgpu",
    "--allow-all",
    "--no-check",
    "--node-modules-dir=manual",
    join(folder, "program.ts"),
    ...process.argv.slice(2),
  ];
  const { status, error } = spawnSync("npx", ["--yes", DENO, ...program], {
    cwd: dirname(dirname(folder)),
    stdio: "inherit",
    env: {
      ...process.env,
      VK_DRIVER_FILES: manifest,
      VK_ICD_FILENAMES: manifest,
      // Without one lavapipe complains, and Deno finds no adapter.
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? scratch,
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
  });
  if (error !== undefined) console.error(String(error));
  process.exitCode = status ?? 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
