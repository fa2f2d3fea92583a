import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

interface Count {
  passed: number;
  failed: number;
  seconds: number;
}

/** Files that took so many seconds are named at the end. */
const LONG = 10;

/** Counts the tests of each project into the file that MTAC_TALLY names, for `npm test`; and says which files took long. */
export default class Tally implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts: Record<string, Count> = {};
    const long: [number, string][] = [];
    for (const module of modules) {
      const { name } = module.project;
      const count = counts[name] ?? { passed: 0, failed: 0, seconds: 0 };
      counts[name] = count;
      const states = [...module.children.allTests()].map((test) => test.result().state);
      const failed = states.filter((state) => state === "failed").length;
      count.passed += states.filter((state) => state === "passed").length;
      // A file that cannot be loaded fails without a failed test.
      count.failed += module.ok() ? failed : Math.max(failed, 1);
      const { duration, collectDuration } = module.diagnostic();
      const seconds = (duration + collectDuration) / 1000;
      count.seconds += seconds;
      if (seconds >= LONG) long.push([seconds, module.relativeModuleId]);
    }
    for (const [seconds, file] of long.sort(([a], [b]) => b - a))
      console.log(`${seconds.toFixed(0).padStart(4)} s  ${file}`);
    const { MTAC_TALLY } = process.env;
    if (MTAC_TALLY !== undefined) writeFileSync(MTAC_TALLY, JSON.stringify(counts));
  }
}
