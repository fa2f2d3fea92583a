import { execFile, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { CpuLibrary, CpuMemory, CpuPass } from "../../runtime/cpu/library.ts";
import { findCompiler } from "../../runtime/cpu/native/compiler.ts";

const run = promisify(execFile);

const DRIVER = fileURLToPath(new URL("driver.c", import.meta.url));
const BUILDS = fileURLToPath(new URL("../../.cache/sanitize/", import.meta.url));

/** Addresses are larger than any size or stride: that tells them from the other words of a call. */
const FIRST_ADDRESS = 2 ** 45;

/** What watches a build, by its name. */
const SANITIZERS = {
  address: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DWATCHED"],
  thread: ["-fsanitize=thread"],
} as const;

export type Sanitizer = keyof typeof SANITIZERS;

/** Why nothing is sanitized here, with a warning that nobody overlooks; null where it is. */
export async function missingSanitizer(): Promise<string | null> {
  const found = await findCompiler();
  if (found !== null) return null;
  const reason = "there is no C compiler";
  console.warn(`\n*** THE C LIBRARY IS NOT RUN UNDER SANITIZERS: ${reason} ***\n`);
  return reason;
}

/** Compiles the driver, for vectors of so many floats. */
async function buildDriver(sanitizer: Sanitizer, lanes: number): Promise<string> {
  const compiler = await findCompiler();
  if (compiler === null) throw new Error("there is no C compiler");
  mkdirSync(BUILDS, { recursive: true });
  const program = path.join(BUILDS, `${sanitizer}${lanes}.${process.pid}`);
  const flags = [
    "-std=c11",
    "-O1",
    "-g",
    "-pthread",
    `-DLANES=${lanes}`,
    `-DFIRST_ADDRESS=${FIRST_ADDRESS}`,
    ...SANITIZERS[sanitizer],
  ];
  // Vectors wider than the processor's are passed in memory: a note on that is no warning.
  await run(compiler.program, [...flags, "-Wno-psabi", DRIVER, "-o", program, "-lm"]);
  return program;
}

/** The C library in a process of its own, which a sanitizer watches: each call starts it anew. */
export async function openSanitized(sanitizer: Sanitizer, lanes: number): Promise<CpuLibrary> {
  const program = await buildDriver(sanitizer, lanes);
  // Without a call it ends at once. GCC 12's thread sanitizer refuses places that newer kernels give to programs.
  const said = await pipe([program], []).then(String, String);
  const command = said.includes("unexpected memory mapping") ? ["setarch", "-R", program] : [program];
  return new SanitizedLibrary(command, sanitizer, lanes);
}

class SanitizedLibrary implements CpuLibrary {
  readonly kind = "native";
  readonly description: string;
  readonly lanes: number;
  readonly threads = 7;
  readonly #command: readonly string[];
  readonly #live = new Map<number, Uint8Array<ArrayBuffer>>();
  #next = FIRST_ADDRESS;

  constructor(command: readonly string[], sanitizer: Sanitizer, lanes: number) {
    this.#command = command;
    this.lanes = lanes;
    this.description = `C with the ${sanitizer} sanitizer, ${lanes} floats a vector`;
  }

  allocate(bytes: number): CpuMemory {
    const address = this.#next;
    // So far apart that no place in one is a place in another.
    this.#next += Math.ceil(bytes / 64) * 64 + 64;
    this.#live.set(address, new Uint8Array(bytes));
    return { address, size: bytes };
  }

  free({ address }: CpuMemory): void {
    this.#live.delete(Number(address));
  }

  bytesOf({ address }: CpuMemory): Uint8Array<ArrayBuffer> {
    const bytes = this.#live.get(Number(address));
    if (bytes === undefined) throw new RangeError(`there is no memory at ${address}`);
    return bytes;
  }

  readonly forward = this.#pass(false);

  async backward(): Promise<CpuPass> {
    return this.#pass(true);
  }

  #pass(gradients: boolean): CpuPass {
    return {
      // The driver has its own, exactly as large as needed.
      workspaceBytes: () => 1,
      compute: (words, _workspace, parts) => this.#run(words, gradients, parts),
    };
  }

  async #run(words: CpuMemory, gradients: boolean, parts: number): Promise<void> {
    const wanted = [Number(words.address), ...addressesOf(this.bytesOf(words))];
    const memories = [...this.#live].filter(([start, { length }]) =>
      wanted.some((address) => address >= start && address <= start + length),
    );
    const head = BigInt64Array.of(
      BigInt(memories.length),
      BigInt(words.address),
      BigInt(gradients ? 1 : 0),
      BigInt(parts),
    );
    const input = [new Uint8Array(head.buffer)];
    for (const [address, bytes] of memories)
      input.push(new Uint8Array(BigInt64Array.of(BigInt(address), BigInt(bytes.length)).buffer), bytes);
    const output = await pipe(this.#command, input);
    let at = 0;
    for (const [, bytes] of memories) {
      bytes.set(output.subarray(at, at + bytes.length));
      at += bytes.length;
    }
    if (at !== output.length) throw new Error(`the driver gave ${output.length} bytes, not ${at}`);
  }

  async close(): Promise<void> {
    this.#live.clear();
  }
}

function addressesOf(bytes: Uint8Array<ArrayBuffer>): readonly number[] {
  const words = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  return [...words].map(Number).filter((word) => word >= FIRST_ADDRESS);
}

/** What a program gives on its output. @throws Error with what a sanitizer said. */
function pipe([program = "", ...options]: readonly string[], input: readonly Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, options, { stdio: ["pipe", "pipe", "pipe"] });
    const output: Buffer[] = [];
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => {
      said += String(chunk);
    });
    child.on("error", reject);
    child.stdin.on("error", () => undefined);
    child.on("close", (code) => {
      if (code === 0 && said === "") resolve(Buffer.concat(output));
      else reject(new Error(`the driver ended with ${code}:\n${said}`));
    });
    for (const bytes of input) child.stdin.write(bytes);
    child.stdin.end();
  });
}
