// `node test/browser/vite.run.mjs`: the Vite example, built and served, and its hot reload, in headless Chromium on SwiftShader; see
// vite.ts. Runs what is in dist/.
import { register } from "tsx/esm/api";

register();
const { checkVite } = await import("./vite.ts");
process.exitCode = (await checkVite()) ? 0 : 1;
