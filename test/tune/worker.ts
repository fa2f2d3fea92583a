// A process of its own that works on a store or a lock, and says on stdout what it has finished. Bundled and run by
// `processes.ts`.
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { withLock } from "../../compiler/tune/lock.ts";
import { openStore } from "../../compiler/tune/store.ts";
import { measured } from "./records.ts";

const [task = "", file = "", name = "", count = "0"] = process.argv.slice(2);

/** Not through process.stdout: what is said has left the process when this returns, and outlives SIGKILL. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function rounds(work: (round: number) => void): void {
  const last = count === "0" ? Number.POSITIVE_INFINITY : Number(count);
  for (let round = 0; round < last; round++) work(round);
}

say("ready");
switch (task) {
  case "append":
    rounds((round) => {
      const sweep = `${name}-${round}`;
      openStore(file).append(measured({ sweep }));
      say(sweep);
    });
    break;
  case "prune":
    rounds((round) => {
      const store = openStore(file);
      store.append(measured({ sweep: "rubbish" }));
      store.rewrite((records) => ({ kept: new Set(records.filter(({ sweep }) => sweep !== "rubbish")) }));
      say(String(round));
    });
    break;
  case "count":
    rounds(() =>
      withLock(file, () => {
        // Two at once would read the same number.
        const value = Number(readFileSync(name, "utf8"));
        writeFileSync(name, String(value + 1));
      }),
    );
    break;
  case "hold":
    withLock(file, () => {
      say("held");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
    break;
}
