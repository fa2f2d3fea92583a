// `node test/browser/playground.run.mjs`: the playground as it is built, in headless Chromium on SwiftShader; see playground.ts.
import { register } from "tsx/esm/api";

register();
const { checkPlayground } = await import("./playground.ts");
process.exitCode = (await checkPlayground()) ? 0 : 1;
