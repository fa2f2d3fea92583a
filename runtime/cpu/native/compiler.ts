import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cacheFolder } from "../../contract/cache-folder.ts";
import { CpuError } from "../errors.ts";
import { C_FOLDER } from "../files.ts";
import { processorModel } from "../processor.ts";

const run = promisify(execFile);

/** The libraries' sources: what is compiled is `native.c` or `backward.c`, the other files are included. */
const SOURCES = fileURLToPath(C_FOLDER);

/** For this processor, all its vectors. */
const THIS_PROCESSOR = ["-march=native"] as const;

/**
 * -ffp-contract=fast: a product and a sum are one rounded operation where the processor has it. -fno-math-errno: a square root is one
 * instruction. Nothing that changes what NaN and infinities do.
 */
const FLAGS = [
  "-std=c11",
  "-O3",
  "-ffp-contract=fast",
  "-fno-math-errno",
  "-fvisibility=hidden",
  "-fPIC",
  "-shared",
  "-pthread",
] as const;

const ENDING = process.platform === "darwin" ? ".dylib" : ".so";

const TIMEOUT_MS = 300_000;

/** The forward pass, and the backward pass, which is compiled when a gradient is first asked for. */
export type LibrarySource = "native.c" | "backward.c";

/** A C compiler. */
export interface CCompiler {
  readonly program: string;
  /** First line of `--version`. */
  readonly version: string;
}

/** What is compiled for, and where to. */
export interface CompileOptions {
  /** Flags that say what the processor has, in place of -march=native: the tests compile for narrower vectors than this machine's. */
  readonly processor?: readonly string[];
  /** Where compiled libraries are kept: in the user's cache, if not given. */
  readonly folder?: string;
}

/** The compiler that CC names, else the first of cc, gcc and clang on the PATH that runs; null where there is none. */
export async function findCompiler(): Promise<CCompiler | null> {
  const { CC } = process.env;
  const named = CC === undefined || CC === "" ? [] : [CC];
  for (const program of [...named, "cc", "gcc", "clang"]) {
    try {
      const { stdout } = await run(program, ["--version"], { timeout: TIMEOUT_MS });
      return { program, version: stdout.split("\n")[0]?.trim() ?? program };
    } catch {
      // Not here, or not a compiler.
    }
  }
  return null;
}

/**
 * The library for this processor: from the cache, or compiled into it. An entry's name says what it was made of and what it holds: another source,
 * compiler, processor or set of flags is another entry.
 *
 * @throws CpuError MTA882 (the cache's folder cannot be written), MTA883 (the compiler fails).
 */
export async function compileLibrary(
  compiler: CCompiler,
  source: LibrarySource,
  options: CompileOptions = {},
): Promise<string> {
  const { processor = THIS_PROCESSOR, folder = path.join(cacheFolder(), "cpu") } = options;
  const flags = [...FLAGS, ...processor];
  const key = await keyOf(compiler, source, flags);
  const kept = await findEntry(folder, key);
  if (kept !== null) return kept;
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw unwritable(folder, cause);
  }
  // Compiled beside its place and renamed: processes that compile at once never load half a library.
  const beside = path.join(folder, `${randomUUID()}${ENDING}`);
  try {
    await run(compiler.program, [...flags, path.join(SOURCES, source), "-o", beside, "-lm"], {
      timeout: TIMEOUT_MS,
    });
    const target = path.join(folder, entryName(key, await readFile(beside)));
    await rename(beside, target);
    return target;
  } catch (cause) {
    await rm(beside, { force: true });
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    if (/EACCES|ENOSPC|EROFS|cannot open output file|Permission denied|No space left/.test(said))
      throw unwritable(folder, cause);
    throw new CpuError("MTA883", `${compiler.program} does not compile mtac's C library:\n${said}`, {
      cause,
      remedy: "set CC to GCC (12 or newer) or Clang (14 or newer)",
    });
  }
}

function unwritable(folder: string, cause: unknown): CpuError {
  return new CpuError("MTA882", `the folder ${folder} for compiled libraries cannot be written`, {
    cause,
    remedy: "set XDG_CACHE_HOME to a writable folder",
  });
}

/**
 * The entry of a key, or null. One that does not hold what its name says, because it was damaged or cut short, is removed: to load half a
 * library ends the process.
 */
async function findEntry(folder: string, key: string): Promise<string | null> {
  const names = await readdir(folder).catch((): string[] => []);
  for (const name of names) {
    if (!name.startsWith(`${key}-`) || !name.endsWith(ENDING)) continue;
    const file = path.join(folder, name);
    const content = await readFile(file).catch(() => null);
    // What cannot be read or removed is passed over.
    if (content === null) continue;
    if (name === entryName(key, content)) return file;
    await rm(file, { force: true }).catch(() => undefined);
  }
  return null;
}

/** What the file of an entry is called; `key` says what it was made of. */
function entryName(key: string, content: Uint8Array): string {
  return `${key}-${createHash("sha256").update(content).digest("hex").slice(0, 16)}${ENDING}`;
}

async function keyOf(
  { version }: CCompiler,
  source: LibrarySource,
  flags: readonly string[],
): Promise<string> {
  const hash = createHash("sha256");
  // What -march=native means: home directories go from machine to machine.
  const processor = [os.arch(), os.platform(), processorModel()];
  hash.update(JSON.stringify([version, source, flags, processor]));
  const names = (await readdir(SOURCES)).filter((name) => /\.[ch]$/.test(name)).sort();
  for (const name of names) hash.update(`\n${name}\n`).update(await readFile(path.join(SOURCES, name)));
  return hash.digest("hex").slice(0, 32);
}
