import { renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { grammarText } from "./grammar.ts";

// Writes the grammar that the extension ships: `npm run vscode:grammar`, after a change of the language's words.
const path = fileURLToPath(new URL("../syntaxes/mta.tmLanguage.json", import.meta.url));
writeFileSync(`${path}.new`, grammarText());
renameSync(`${path}.new`, path);
