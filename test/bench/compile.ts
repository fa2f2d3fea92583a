import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { emitArtifact } from "../../compiler/emit/index.ts";
import { compile } from "../../compiler/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import { median } from "./measure.ts";

/** Times of the compiler in process: from the text of a spec to kernels, and with the launcher's module. */
export function compileTimes(): void {
  const file = "mta_830m.mta";
  const source = readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8");
  const kernels = (): void => {
    const attention = analyse(source, file).spec?.attentions.find(({ name }) => name === "mta_830m");
    if (attention !== undefined) emitArtifact(resolve(attention, file));
  };
  const all = (): void => {
    compile(source, { file, names: ["mta_830m"] });
  };
  const time = (run: () => void): { first: number; rest: number } => {
    const times = Array.from({ length: 6 }, () => {
      const begin = performance.now();
      run();
      return performance.now() - begin;
    });
    return { first: times[0] ?? Number.NaN, rest: median(times.slice(1)) };
  };
  for (const [name, run] of [
    ["spec to kernels", kernels],
    ["spec to kernels and launcher", all],
  ] as const) {
    const { first, rest } = time(run);
    console.log(`\n${name}, in process: ${rest.toFixed(1)} ms (the first time ${first.toFixed(1)} ms)`);
  }
}
