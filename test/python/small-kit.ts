import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll } from "vitest";
import { type KitResults, readKitResults } from "../../compiler/bench/kit/results.ts";
import { loadGradients } from "../../compiler/emit/index.ts";
import { compileDouble } from "../cuda-runtime/compile-double.ts";
import { temporaryFolder } from "../cuda-runtime/doubles.ts";
import { type KitContents, makeKit } from "../gpu-kit/make.ts";
import { python } from "./python.ts";

const SPEC =
  "attention small { heads 2 head_dim 16 mask causal documents scores { conv 2x3 } weights { dropout 0.25 } output { norm } }";
const TIMED = {
  package: "small",
  attention: "small",
  types: ["bf16"],
  lengths: [32],
  processorLengths: [24],
};

/** What the kit is made of beside its vectors and other plans. */
export const SMALL: KitContents = {
  specs: [{ name: "small", text: SPEC }],
  vectors: [],
  main: [TIMED],
  others: [],
  candidates: null,
  cubins: null,
};

/** A run of a kit to its end. */
export interface Run {
  readonly results: KitResults;
  readonly said: string;
  /** The exit status. */
  readonly status: number;
}

/** A small kit for a GPU, made before the file's tests. */
export class SmallKit {
  readonly scratch = temporaryFolder();
  readonly folder = join(this.scratch, "kit");
  /** What its making says. */
  readonly said: string[] = [];
  /** Its size. */
  bytes = 0;
  readonly #double = compileDouble("driver-double", this.scratch);

  constructor() {
    beforeAll(async () => {
      await loadGradients();
      const contents = {
        ...SMALL,
        vectors: [someVectors(this.scratch)],
        candidates: { package: "small", attention: "small", most: 2 },
      };
      this.bytes = makeKit(this.folder, contents, (line) => this.said.push(line));
      this.change("kit/random_calls.py", (text) => text.replace("ROUNDS = 40", "ROUNDS = 1"));
    }, 120_000);
  }

  change(file: string, by: (text: string) => string): void {
    const path = join(this.folder, file);
    writeFileSync(path, by(readFileSync(path, "utf8")));
  }

  /** Runs the kit's `run.py`; its results are read, and removed. */
  async run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Run> {
    const status = `import subprocess, sys; sys.exit(print(subprocess.run([sys.executable, *sys.argv[1:]]).returncode))`;
    const lines = await python(
      ["-c", status, "run.py", "--seed", "5", "--minutes", "6", ...args],
      this.folder,
      false,
      variables,
    );
    const file = [
      join(this.folder, "results.json"),
      join(variables["TMPDIR"] ?? "", "mtac-gpu-kit-results.json"),
    ];
    const text = readFileSync(file.find((each) => existsSync(each)) ?? "", "utf8");
    rmSync(join(this.folder, "results.json"), { force: true });
    return {
      results: readKitResults(text, "results.json"),
      said: lines,
      status: Number(lines.trim().split("\n").at(-1)),
    };
  }

  /** Of processes that believe in a GPU; `folder` has programs that they find first. */
  doubleVariables(folder = this.scratch): Readonly<Record<string, string>> {
    return {
      MTAC_LIBCUDA: this.#double,
      PYTHONPATH: fileURLToPath(new URL("gpu-double", import.meta.url)),
      PATH: `${folder}:${process.env["PATH"]}`,
      CUDA_HOME: "",
      CUDA_PATH: "",
    };
  }
}

/** A folder of three vectors: all 15 take a while. */
function someVectors(scratch: string): string {
  const all = fileURLToPath(new URL("../vectors", import.meta.url));
  const folder = join(scratch, "vectors");
  const index: readonly { case: string }[] = JSON.parse(readFileSync(join(all, "index.json"), "utf8"));
  const some = index.filter(({ case: name }) => /^(17|33|45)_/.test(name));
  for (const { case: name } of some) cpSync(join(all, name), join(folder, name), { recursive: true });
  writeFileSync(join(folder, "index.json"), JSON.stringify(some));
  return folder;
}

/** How each step of a run ended. */
export function statesOf({ steps }: KitResults): Readonly<Record<string, string>> {
  return Object.fromEntries(steps.map(({ name, status }) => [name, status]));
}
