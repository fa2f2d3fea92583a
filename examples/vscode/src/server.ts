import { serve } from "../../../compiler/lsp/server.ts";
import manifest from "../package.json" with { type: "json" };

// The language server that comes with the extension, for workspaces without an mtac of their own.
serve({ input: process.stdin, output: process.stdout, version: manifest.version });
