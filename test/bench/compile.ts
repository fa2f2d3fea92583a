import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { emitArtifact } from "../../compiler/emit/index.ts";
import { compile } from "../../compiler/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import { median } from "./measure.ts";

/** Times of the compiler in process: from the text of a spec to kernels, and with the launcher's module. */
export async function compileTimes(): Promise<void> {
  const file = "mta_830m.mta";
  const source = readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8");
  const kernels = (): void => {
    const attention = analyse(source, file).spec?.attentions.find(({ name }) => name === "mta_830m");
    if (attention !== undefined) emitArtifact(resolve(attention, file));
  };
  const all = async (): Promise<void> => {
    await compile(source, { file, names: ["mta_830m"] });
  };
  const time = async (run: () => void | Promise<void>): Promise<{ first: number; rest: number }> => {
    const times: number[] = [];
    for (let index = 0; index < 6; index += 1) {
      const begin = performance.now();
      await run();
      times.push(performance.now() - begin);
    }
    return { first: times[0] ?? Number.NaN, rest: median(times.slice(1)) };
  };
  for (const [name, run] of [
    ["spec to kernels", kernels],
    ["spec to kernels and launcher", all],
  ] as const) {
    const { first, rest } = await time(run);
    console.log(`\n${name}, in process: ${rest.toFixed(1)} ms (the first time ${first.toFixed(1)} ms)`);
  }
}
