import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readKitResults } from "../../compiler/bench/kit/results.ts";
import { temporaryFolder } from "../cuda-runtime/doubles.ts";
import { PYTHON, python } from "./python.ts";
import { SmallKit, statesOf } from "./small-kit.ts";

// What a run of a kit survives: steps that crash and hang, a full disk, its own end.

const small = new SmallKit();

function isRunning(pid: number): boolean {
  try {
    // Nobody may be left to wait for it: it is a zombie then.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** While one of the kit's modules is another. */
async function withModule<T>(text: string, then: () => Promise<T>): Promise<T> {
  const before = readFileSync(join(small.folder, "kit/determinism.py"), "utf8");
  small.change("kit/determinism.py", () => text);
  return then().finally(() => small.change("kit/determinism.py", () => before));
}

describe("a step that goes wrong", () => {
  const MODULE = `import os, time
from .context import Case

def cases(context, step):
    yield Case("first", lambda: {"status": "passed"})
    yield Case("crash", lambda: os._exit(9))
    yield Case("error", lambda: 1 / 0)
    yield Case("hang", lambda: time.sleep(100))
    yield Case("last", lambda: {"status": "passed"})
`;

  test("is told case by case, and the next step goes on", async () => {
    small.change("kit/steps.py", (text) => text.replace("case_limit: float = 60", "case_limit: float = 3"));
    const { results, status } = await withModule(MODULE, () => small.run(["--only", "determinism,graphs"]));
    small.change("kit/steps.py", (text) => text.replace("case_limit: float = 3", "case_limit: float = 60"));
    expect(results.steps[1]?.cases.map(({ name, status: state }) => [name, state])).toEqual([
      ["first", "passed"],
      ["crash", "crashed"],
      ["error", "failed"],
      ["hang", "hung"],
      ["last", "passed"],
    ]);
    expect(statesOf(results)).toEqual({
      environment: "passed",
      determinism: "hung",
      graphs: "missing",
    });
    expect(status).toBe(1);
  });
});

describe("a run", () => {
  test("that is stopped keeps what it found, and ends what it started", async () => {
    const child = join(small.scratch, "child");
    const text = `import subprocess, sys, time
from pathlib import Path
from .context import Case

def hang():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(${JSON.stringify(child)}).write_text(str(child.pid))
    time.sleep(600)

def cases(context, step):
    yield Case("first", lambda: {"status": "passed"})
    yield Case("second", hang)
`;
    await withModule(text, async () => {
      const process_ = spawn(PYTHON, ["run.py", "--seed", "5", "--only", "determinism"], {
        cwd: small.folder,
      });
      const ended = once(process_, "close");
      await expect.poll(() => existsSync(child), { timeout: 60_000 }).toBe(true);
      process_.kill("SIGTERM");
      expect((await ended)[0]).toBe(130);
      const results = readKitResults(
        readFileSync(join(small.folder, "results.json"), "utf8"),
        "results.json",
      );
      expect(results.finished).toBe(false);
      expect(statesOf(results)).toEqual({ environment: "passed", determinism: "unfinished" });
      expect(results.steps[1]?.cases.map(({ name }) => name)).toEqual(["first"]);
      const pid = Number(readFileSync(child, "utf8"));
      await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
    });
  });

  test("does not wait for a process that nothing ends", async () => {
    const program = `
import subprocess
from kit import orchestrate

class Stuck(subprocess.Popen):
    def wait(self, timeout=None):
        if timeout is None:
            raise AssertionError("it is waited for without end")
        raise subprocess.TimeoutExpired("stuck", timeout)

stuck = Stuck(["sleep", "600"], start_new_session=True)
orchestrate._kill(stuck)
print(subprocess.Popen.wait(stuck, 10))`;
    expect(await python(["-c", program], small.folder)).toBe("-9\n");
  });

  test("goes on with the first case where a process ends before it, but not for ever", async () => {
    const mark = join(small.scratch, "started");
    const text = `import os
from pathlib import Path
from .context import Case

def cases(context, step):
    mark = Path(${JSON.stringify(mark)})
    mark.write_text(mark.read_text() + "+" if mark.exists() else "+")
    if mark.read_text() in LIMITS:
        os._exit(9)
    yield Case("first", lambda: {"status": "passed"})
`;
    const namesAfter = async (limits: string): Promise<unknown> => {
      rmSync(mark, { force: true });
      const { results } = await withModule(text.replace("LIMITS", limits), () =>
        small.run(["--only", "determinism"]),
      );
      return results.steps[1]?.cases.map(({ name }) => name);
    };
    expect(await namesAfter('("+",)')).toEqual(["start", "first"]);
    expect(await namesAfter('"+" * 9')).toEqual(["start", "start"]);
  });

  test("writes its results elsewhere where their place is gone, and keeps those of earlier runs", async () => {
    const place = join(small.scratch, "place");
    const elsewhere = temporaryFolder();
    mkdirSync(place);
    writeFileSync(join(place, "results.json"), "earlier");
    const text = `import shutil
from .context import Case

def cases(context, step):
    yield Case("first", lambda: shutil.rmtree(${JSON.stringify(place)}) or {"status": "passed"})
`;
    await withModule(text, async () => {
      const early = small.run(["--only", "determinism", "--out", join(place, "results.json")], {
        TMPDIR: elsewhere,
      });
      await expect.poll(() => existsSync(join(place, "results-1.json")), { timeout: 60_000 }).toBe(true);
      expect(readFileSync(join(place, "results-1.json"), "utf8")).toBe("earlier");
      const { said: lines } = await early;
      expect(lines).toContain("results could not be written");
      const kept = readFileSync(join(elsewhere, "mtac-gpu-kit-results.json"), "utf8");
      expect(readKitResults(kept, "results").finished).toBe(true);
    });
  });

  test("unpacks again what is of another archive, and works where the kit cannot be written", async () => {
    const copy = join(temporaryFolder(), "a kit, and more");
    cpSync(small.folder, copy, { recursive: true });
    writeFileSync(join(copy, "packages/.archive"), "of another kit");
    rmSync(join(copy, "packages/small/small/functional.py"));
    // Nothing can be written to a file that is a folder: so it is on a disk that takes nothing.
    mkdirSync(join(copy, ".trial"));
    const elsewhere = temporaryFolder();
    // Nor can what is compiled be kept.
    const cache = join(elsewhere, "no-folder");
    writeFileSync(cache, "");
    const said = await python(
      [join(copy, "run.py"), "--only", "determinism", "--seed", "5"],
      elsewhere,
      false,
      { XDG_CACHE_HOME: cache },
    );
    expect(said).toContain("passed  determinism");
    expect(existsSync(join(elsewhere, "results.json"))).toBe(true);
    expect(existsSync(join(copy, "packages/small/small/functional.py"))).toBe(false);
    rmSync(join(copy, ".trial"), { recursive: true });
    await python([join(copy, "run.py"), "--only", "determinism", "--seed", "5"], elsewhere);
    expect(existsSync(join(copy, "packages/small/small/functional.py"))).toBe(true);
  });

  test.each([
    ["--minutes", "nan"],
    ["--minutes", "inf"],
    ["--minutes", "0"],
    ["--minutes", "soon"],
    ["--seed", "-1"],
    ["--only", "tests"],
    ["--out", "/nowhere/results.json"],
    ["--out", "kit"],
  ])("with %s %s is refused before anything is computed", async (flag, value) => {
    await expect(python(["run.py", `${flag}=${value}`], small.folder)).rejects.toThrow(
      /run\.py: error|cannot run here/,
    );
  });

  test("whose compute-sanitizer does not get on with the device says so once", async () => {
    const folder = temporaryFolder();
    const tool = join(folder, "compute-sanitizer");
    writeFileSync(tool, "#!/bin/sh\necho Device not supported\nexit 1\n");
    chmodSync(tool, 0o755);
    const { results } = await small.run(["--only", "sanitizer"], small.doubleVariables(folder));
    expect(results.steps[1]).toMatchObject({
      status: "missing",
      lacking: "a compute-sanitizer that works: Device not supported",
    });
  });
});
