// Builds the extension's dist/: the client, which the editor loads, and the language server that comes with it.
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { noticesFor, requiredBuiltins } from "../../build.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const output = join(folder, "dist");
const staging = join(folder, `dist.${process.pid}`);

/** @type {import("esbuild").BuildOptions & { metafile: true }} */
const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  // What the oldest editor of `engines` brings.
  target: "node20.9",
  legalComments: "none",
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: true,
  metafile: true,
  logLevel: "warning",
};

try {
  const client = await build({
    ...shared,
    entryPoints: [join(folder, "src/extension.ts")],
    outfile: join(staging, "extension.cjs"),
    format: "cjs",
    mainFields: ["module", "main"],
    external: ["vscode"],
  });
  const server = await build({
    ...shared,
    entryPoints: [join(folder, "src/server.ts")],
    outfile: join(staging, "server.mjs"),
    format: "esm",
    mainFields: ["module", "main"],
    plugins: [requiredBuiltins],
  });
  const inputs = { ...client.metafile.inputs, ...server.metafile.inputs };
  writeFileSync(join(staging, "THIRD_PARTY_NOTICES.txt"), noticesFor({ inputs, outputs: {} }));
  rmSync(output, { recursive: true, force: true });
  renameSync(staging, output);
} finally {
  rmSync(staging, { recursive: true, force: true });
}
