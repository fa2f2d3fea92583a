// `node test/browser/toy.run.mjs`: the page that runs the trained toy models, as it is built, in headless Chromium; see toy.ts.
import { register } from "tsx/esm/api";

register();
const { checkToy } = await import("./toy.ts");
process.exitCode = (await checkToy()) ? 0 : 1;
