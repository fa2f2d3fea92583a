// `node test/docs/axe.run.mjs [SCREENSHOTS]`: the built site (`npm run docs`) in headless Chromium; see site.ts. Writes pictures of every
// page into the folder, where one is given.
import { register } from "tsx/esm/api";

register();
const { checkSite } = await import("./site.ts");
process.exitCode = (await checkSite(process.argv[2] ?? null)) ? 0 : 1;
