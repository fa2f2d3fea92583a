// Builds the extension and packs it with vsce: `node examples/vscode/pack.mjs [OUT.vsix]`. vsce comes from npm when it is needed,
// since few need it; it runs no scripts of its packages.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const VSCE = "@vscode/vsce@3.9.2";

const folder = dirname(fileURLToPath(import.meta.url));
const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
const [out = join(folder, `${name}-${version}.vsix`)] = process.argv.slice(2);

/** What the package must hold, beside vsce's own manifests. */
const EXPECTED = [
  "LICENSE",
  "README.md",
  "dist/THIRD_PARTY_NOTICES.txt",
  "dist/extension.cjs",
  "dist/server.mjs",
  "language-configuration.json",
  "package.json",
  "syntaxes/mta.tmLanguage.json",
];

function vsce(args, stdio) {
  // On Windows npx is a script, which needs a shell; no argument here holds anything that a shell would read.
  const shell = process.platform === "win32";
  return execFileSync("npx", ["--yes", VSCE, ...args], {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", stdio, "inherit"],
    shell,
    env: { ...process.env, npm_config_ignore_scripts: "true" },
  });
}

vsce(["package", "--no-dependencies", "--allow-missing-repository", "--out", resolve(out)], "inherit");
const listed = vsce(["ls", "--no-dependencies"], "pipe").trim().split(/\r?\n/).sort();
if (JSON.stringify(listed) !== JSON.stringify(EXPECTED)) {
  console.error(`the package holds ${listed.join(", ")}; it should hold ${EXPECTED.join(", ")}`);
  process.exitCode = 1;
}
