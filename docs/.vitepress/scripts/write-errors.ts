import { writeFileSync } from "node:fs";
import { errorPage } from "../../../compiler/error-guide/page.ts";

// `npm run docs:errors`: the page of all codes, from the sources.
writeFileSync(new URL("../../errors.md", import.meta.url), errorPage());
