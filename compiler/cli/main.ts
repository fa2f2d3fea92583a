#!/usr/bin/env node
/**
 * Checks Node before anything else is loaded: what follows needs syntax and modules that older versions lack. So this file has no
 * imports but one that is made when all is well, and no function, for which the bundler would add one.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
// Deno and Bun speak of a Node that they are not.
const isNode = !("deno" in process.versions || "bun" in process.versions);

// The same version stands in package.json, under `engines`.
if (isNode && (major < 20 || (major === 20 && minor < 19))) {
  const message = `mtac needs Node 20.19 or later, and this is Node ${process.versions.node}`;
  process.stderr.write(`error MTA932: ${message}\n`);
  if (process.argv.includes("--json"))
    process.stdout.write(
      `${JSON.stringify({ error: { code: "MTA932", kind: "usage", message, remedy: "install a later Node" } })}\n`,
    );
  process.exitCode = 2;
} else {
  const { main } = await import("./program.ts");
  // Assigned rather than exited with: what has been written must reach a pipe first.
  process.exitCode = await main(process.argv.slice(2));
}
