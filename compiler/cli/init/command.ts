import type { Command } from "commander";
import { createOutput } from "../../terminal/output.ts";
import { jsonOption } from "../flags.ts";

export function registerInit(program: Command): void {
  program
    .command("init")
    .summary("start a project: a spec, a page that runs it, a test")
    .description(
      "Write a small project: a spec, TypeScript that runs it and compares it with the reference, a page built by Vite, a test. Existing files are never touched.",
    )
    .argument("[dir]", "folder, made if need be", ".")
    .option("--name <name>", "the project's name (default: the folder's)")
    .addOption(jsonOption())
    .action(async (folder: string, { name, json }: { name?: string; json?: true }) => {
      const { initProject } = await import("./run.ts");
      initProject(folder, name, createOutput(json === true));
    });
}
