// `node test/browser/run.mjs`: emitted launchers in a real browser, headless Chromium on SwiftShader; see main.ts. Runs what is
// in dist/. With `--probe` it says only whether a Chromium starts here.
import { register } from "tsx/esm/api";

register();
const { checkAll, probe } = await import("./main.ts");
process.exitCode = (await (process.argv.includes("--probe") ? probe() : checkAll())) ? 0 : 1;
