// `npm run docs`: the API from its TSDoc, the site, the playground in it; all of it static files in docs/.vitepress/dist.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vitepress";
import { buildPlayground } from "../../../examples/playground/scripts/build.ts";
import { writeApi } from "./api.ts";

const docs = fileURLToPath(new URL("../../", import.meta.url));

await writeApi(join(docs, "api"));
// Fails at a link that leads nowhere.
await build(docs);
await buildPlayground(join(docs, ".vitepress/dist/playground"));
console.log("in docs/.vitepress/dist");
