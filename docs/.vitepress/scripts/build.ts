// `npm run docs`: the API from its TSDoc, the site, the pages in it that are programs; all of it static files in docs/.vitepress/dist.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vitepress";
import { buildPage } from "../../../examples/playground/scripts/build.ts";
import { writeApi } from "./api.ts";

const docs = fileURLToPath(new URL("../../", import.meta.url));

await writeApi(join(docs, "api"));
// Fails at a link that leads nowhere.
await build(docs);
for (const name of ["playground", "toy"] as const) await buildPage(name, join(docs, ".vitepress/dist", name));
console.log("in docs/.vitepress/dist");
