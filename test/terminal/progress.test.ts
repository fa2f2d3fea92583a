import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { withProgress } from "../../compiler/terminal/progress.ts";
import { createStyle } from "../../compiler/terminal/style.ts";
import { inTurns } from "../../compiler/toolchain/nvcc.ts";

const OUTPUT = { noteStyle: createStyle(false) };

/** A stream that is a terminal or none, and what was written to it. */
function terminal(isTTY: boolean): { stream: NodeJS.WriteStream; written(): string } {
  const pipe = new PassThrough({ encoding: "utf8" });
  const stream = Object.assign(pipe, { isTTY, columns: 80 }) as PassThrough & NodeJS.WriteStream;
  return { stream, written: () => String(stream.read() ?? "") };
}

describe("long work", () => {
  test("says its step, how much of it is done, and since when", async () => {
    const { stream, written } = terminal(true);
    const jobs = [1, 2, 3, 4].map((value) => () => Promise.resolve(value));
    const results = await withProgress(
      OUTPUT,
      (report) => inTurns(jobs, "kernels compiled,", report),
      stream,
    );
    expect(results).toEqual([1, 2, 3, 4]);
    const lines = written().split("\r\u001b[2K");
    expect(lines.slice(0, 2)).toEqual(["", "kernels compiled, 0 of 4 ░░░░░░░░░░░░░░░░░░░░   0 %  0:00"]);
    expect(lines).toContain("kernels compiled, 4 of 4 ████████████████████ 100 %  0:00");
    expect(lines.at(-1)).toBe("");
  });

  test("of unknown length has a clock that moves, and no bar", async () => {
    const { stream, written } = terminal(true);
    const work = async (report: (step: string) => void): Promise<void> => {
      report("computing");
      await sleep(1300);
    };
    await withProgress(OUTPUT, work, stream);
    const text = written();
    expect(text).toContain("computing  0:00");
    expect(text).toContain("computing  0:01");
    expect(text).not.toMatch(/[█░%]/);
  });

  test("leaves no line when it fails, and writes nothing where there is no terminal", async () => {
    const [screen, file] = [terminal(true), terminal(false)];
    const work = async (report: (step: string) => void): Promise<void> => {
      report("computing");
      throw new Error("lost");
    };
    for (const { stream } of [screen, file])
      await expect(withProgress(OUTPUT, work, stream)).rejects.toThrow("lost");
    expect(screen.written().endsWith("computing  0:00\r\u001b[2K")).toBe(true);
    expect(file.written()).toBe("");
  });
});
