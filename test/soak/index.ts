// `npm run soak -- --runs N --seed S --candidates C`: random attentions against the reference, as many as asked for.
// Progress goes to stderr; the last line counts plans that ran. A failure prints the spec and how to repeat it.
import { parseArgs } from "node:util";
import * as fc from "fast-check";
import { requestDevice } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { webgpuSuiteDevice } from "../suite/webgpu-device.ts";
import { randomCase } from "../support/arbitrary.ts";
import { runTrial, trialsOf } from "../support/trial.ts";

const USAGE = "usage: tsx test/soak/index.ts [--runs N] [--seed S] [--candidates C]";
/** Failures after which more tell nothing new. */
const ENOUGH = 20;

function options(): { runs: number; seed: number; candidates: number } | null {
  try {
    const string = { type: "string" } as const;
    const { values } = parseArgs({ options: { runs: string, seed: string, candidates: string } });
    const { runs = "100", seed = String(Date.now() % 2 ** 31), candidates = "3" } = values;
    const parsed = { runs: Number(runs), seed: Number(seed), candidates: Number(candidates) };
    return Object.values(parsed).every(Number.isSafeInteger) && parsed.runs > 0 ? parsed : null;
  } catch {
    return null;
  }
}

async function soak({ runs, seed, candidates }: { runs: number; seed: number; candidates: number }) {
  const { adapter, description } = await openNodeGpu();
  const device = await requestDevice(adapter);
  const suite = webgpuSuiteDevice(device);
  console.error(
    `${runs} attentions, seed ${seed}, ${candidates} random candidates a schedule, ${description}`,
  );
  const began = performance.now();
  let passed = 0;
  let failed = 0;
  let unfit = 0;
  let slowest = { seconds: 0, what: "" };
  for (const [index, drawn] of fc.sample(randomCase(), { seed, numRuns: runs }).entries()) {
    const found = trialsOf(drawn, suite, { best: true, candidates });
    unfit += found.unfit.length;
    const expected = referenceForward(drawn.pipeline, drawn.parameters, drawn.inputs);
    for (const trial of found.trials) {
      const start = performance.now();
      const failure = await runTrial(suite, trial, expected);
      const seconds = (performance.now() - start) / 1000;
      if (seconds > slowest.seconds) {
        const { plan, origin } = trial;
        slowest = {
          seconds,
          what: `case ${index}, ${plan.schedule} (${origin}) ${JSON.stringify(plan.knobs)}`,
        };
      }
      if (failure === null) passed += 1;
      else failed += 1;
      if (failure !== null) console.error(`\ncase ${index} of seed ${seed}: ${failure}`);
    }
    if (failed >= ENOUGH) break;
    if ((index + 1) % 10 === 0) {
      const seconds = (performance.now() - began) / 1000;
      console.error(`${index + 1} attentions, ${passed} passed, ${failed} failed (${seconds.toFixed(0)} s)`);
    }
  }
  device.destroy();
  console.error(`${unfit} schedules did not fit; slowest ${slowest.seconds.toFixed(1)} s: ${slowest.what}`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}

const asked = options();
if (asked === null) {
  console.error(USAGE);
  process.exitCode = 2;
} else if (!(await soak(asked))) process.exitCode = 1;
