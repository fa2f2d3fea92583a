import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { analyse } from "../../compiler/language/index.ts";
import { type Block, place } from "./blocks.ts";
import { hasTool, type PageFolder } from "./folder.ts";
import { matches, readExchanges } from "./transcript.ts";

/** Languages of blocks that are written to a file and used by a later command. */
const WRITTEN = new Set(["cpp", "cmake", "python", "json", "html", "c"]);

/** What a page leaves to be checked: TypeScript, all pages' at once; and what was not run, with why. */
export interface PageRecord {
  readonly typescript: { readonly block: Block; readonly path: string }[];
  readonly left: string[];
}

/** Runs a page's blocks in order. @throws Error that names page and line of the first block that does not hold. */
export async function runPage(
  blocks: readonly Block[],
  folder: PageFolder,
  record: PageRecord,
): Promise<void> {
  for (const [index, block] of blocks.entries()) {
    try {
      await runBlock(block, blocks[index + 1], folder, record);
    } catch (error) {
      throw new Error(`${place(block)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

async function runBlock(
  block: Block,
  next: Block | undefined,
  folder: PageFolder,
  record: PageRecord,
): Promise<void> {
  const why = block.settings.get("norun") ?? block.settings.get("part");
  if (block.language === "mta") checkSpec(block, folder);
  else if (why !== undefined) leaveOut(block, why, record);
  else if (block.language === "console") await runConsole(block, folder, record);
  // Drawings and formulas; a program's output was compared with its program.
  else if (block.language !== "text") await writeFile(block, next, folder, record);
}

function leaveOut(block: Block, why: string, record: PageRecord): void {
  if (why === "") throw new Error("say why this block is not run");
  record.left.push(`${place(block)} ${block.language}: ${why}`);
}

async function writeFile(
  block: Block,
  next: Block | undefined,
  folder: PageFolder,
  record: PageRecord,
): Promise<void> {
  const { language, settings, words, text } = block;
  const file = settings.get("file");
  if (file === undefined)
    throw new Error(`nothing tests this block (\`\`\`${language}): give it file=, norun= or part=`);
  if (language === "ts") keepEarlier(folder, file, record);
  const path = folder.write(file, text);
  if (language === "ts") {
    record.typescript.push({ block, path });
    if (words.has("run")) compareOutput(await folder.program(file), next);
  } else if (!WRITTEN.has(language)) {
    throw new Error(`no test knows blocks of ${language}`);
  }
}

/** A page may show a file twice: its earlier form is type-checked, too, with the types of specs as they are now. */
function keepEarlier(folder: PageFolder, file: string, record: PageRecord): void {
  const path = join(folder.path, file);
  const index = record.typescript.findIndex((each) => each.path === path);
  const earlier = record.typescript[index];
  if (earlier === undefined) return;
  const mark = `.line-${earlier.block.line}`;
  const kept = path.replace(/(\.[cm]?tsx?)$/, `${mark}$1`);
  const text = readFileSync(path, "utf8").replace(/"(\.\/\w+)\.mta"/g, (whole, spec: string) => {
    const types = join(dirname(path), `${spec}.mta.d.ts`);
    if (!existsSync(types)) return whole;
    copyFileSync(types, join(dirname(path), `${spec}${mark}.mta.d.ts`));
    return `"${spec}${mark}.mta"`;
  });
  writeFileSync(kept, text);
  record.typescript[index] = { ...earlier, path: kept };
}

/** A spec must check clean, or give the codes that `fails=` lists; `in=` wraps a part of one, at `…`. */
function checkSpec({ settings, text }: Block, folder: PageFolder): void {
  const file = settings.get("file");
  const wrapped = settings.get("in")?.replace("…", () => text) ?? text;
  const { diagnostics } = analyse(wrapped, file ?? "spec.mta");
  const found = [...new Set(diagnostics.map(({ code }) => code))].sort().join(",");
  const expected = (settings.get("fails") ?? "").split(",").sort().join(",");
  if (found !== expected) {
    const messages = diagnostics.map(({ code, message }) => `${code}: ${message}`).join("\n");
    throw new Error(`expected ${expected || "a clean spec"}, found ${found || "none"}\n${messages}`);
  }
  if (file !== undefined) folder.write(file, wrapped);
}

async function runConsole(block: Block, folder: PageFolder, record: PageRecord): Promise<void> {
  const missing = (block.settings.get("needs") ?? "")
    .split(",")
    .filter((tool) => tool !== "" && !hasTool(tool));
  if (missing.length > 0) {
    record.left.push(`${place(block)} console: this machine lacks ${missing.join(", ")}`);
    return;
  }
  const status = Number(block.settings.get("exit") ?? 0);
  for (const { command, expected } of readExchanges(block.text)) {
    const printed = await folder.shell(command);
    if (printed.status !== status)
      throw new Error(`\`${command}\` ended with ${printed.status}, not ${status}:\n${printed.text}`);
    if (!matches(printed.text, expected))
      throw new Error(`\`${command}\` printed\n${printed.text}\nand the page shows\n${expected}`);
  }
}

function compareOutput(printed: { status: number | null; text: string }, next: Block | undefined): void {
  if (printed.status !== 0) throw new Error(`the program ended with ${printed.status}:\n${printed.text}`);
  const shown = next?.words.has("output") ? next.text : null;
  if (shown === null) throw new Error("a block with `run` needs a block ```text output after it");
  if (!matches(printed.text, shown))
    throw new Error(`printed\n${printed.text}\nand the page shows\n${shown}`);
}
