import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  checkWritable,
  holds,
  writeAtomically,
  writeFolderAtomically,
} from "../../compiler/files/atomic-write.ts";
import { refuseOverlap } from "../../compiler/files/overlap.ts";
import { nullDevice } from "../support/null-device.ts";

const root = process.getuid?.() === 0;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mtac-files-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content = "old"): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The two ways in which commands write. */
const writers: [string, (path: string, content: string) => void][] = [
  ["writeAtomically", writeAtomically],
  [
    "writeFolderAtomically",
    (path, content) => writeFolderAtomically(folder, { [path.slice(folder.length + 1)]: content }),
  ],
];

describe.each(writers)("%s", (_name, write) => {
  test("follows a symbolic link and leaves the link", () => {
    mkdirSync(join(folder, "there"));
    const target = file("there/target");
    const link = join(folder, "link");
    symlinkSync("there/target", link);
    write(link, "new");
    expect(readlinkSync(link)).toBe("there/target");
    expect(readFileSync(target, "utf8")).toBe("new");
    expect(readdirSync(join(folder, "there"))).toEqual(["target"]);
  });

  test("makes the file that a dangling link names", () => {
    const link = join(folder, "link");
    symlinkSync("later", link);
    write(link, "new");
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "later"), "utf8")).toBe("new");
  });

  test("refuses links that lead in a circle", () => {
    symlinkSync("b", join(folder, "a"));
    symlinkSync("a", join(folder, "b"));
    expect(() => write(join(folder, "a"), "new")).toThrow(expect.objectContaining({ code: "MTA906" }));
  });

  test.each([0o600, 0o664, 0o755])("keeps the mode %o", (mode) => {
    const path = file("kept");
    chmodSync(path, mode);
    write(path, "new");
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(statSync(path).mode & 0o7777).toBe(mode);
  });

  test.runIf(root)("keeps the owner", () => {
    const path = file("kept");
    chownSync(path, 1234, 2345);
    write(path, "new");
    expect(statSync(path)).toMatchObject({ uid: 1234, gid: 2345 });
  });

  test("refuses a read-only file, also as root", () => {
    const path = file("fixed");
    chmodSync(path, 0o444);
    const refusal = expect.objectContaining({
      code: "MTA906",
      message: expect.stringContaining("read-only"),
    });
    expect(() => write(path, "new")).toThrow(refusal);
    expect(() => checkWritable(path)).toThrow(refusal);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["fixed"]);
  });

  test("writes through a pipe", () => {
    const pipe = join(folder, "pipe");
    if (spawnSync("mkfifo", [pipe]).status !== 0) return;
    const reader = join(folder, "read");
    spawnSync("sh", ["-c", `cat '${pipe}' > '${reader}' &`], { stdio: "ignore" });
    write(pipe, "new");
    expect(statSync(pipe).isFIFO()).toBe(true);
    for (let tries = 0; tries < 100 && !holds(reader, "new"); tries++) spawnSync("sleep", ["0.02"]);
    expect(readFileSync(reader, "utf8")).toBe("new");
  });
});

test("an open stream that is a file keeps what was written to it before", () => {
  const path = file("log", "before\n");
  const descriptor = openSync(path, "a");
  writeSync(descriptor, "here\n");
  for (const stream of [`/dev/fd/${descriptor}`, `/proc/self/fd/${descriptor}`]) {
    if (!existsSync(stream)) continue;
    checkWritable(stream);
    writeAtomically(stream, `${stream}\n`);
  }
  closeSync(descriptor);
  expect(readFileSync(path, "utf8")).toMatch(/^before\nhere\n/);
  expect(readFileSync(path, "utf8")).toContain(`fd/${descriptor}\n`);
});

test("the empty path, which means the current folder, is refused before anything is computed", () => {
  const refusal = expect.objectContaining({
    code: "MTA906",
    message: expect.stringContaining("it is a folder"),
  });
  expect(() => checkWritable("")).toThrow(refusal);
  expect(() => writeAtomically("", "new")).toThrow(refusal);
});

test("a device stays a device", () => {
  const device = nullDevice(folder);
  checkWritable(device);
  writeAtomically(device, "lost");
  expect(statSync(device).isCharacterDevice()).toBe(true);
  const link = join(folder, "null");
  symlinkSync(device, link);
  writeAtomically(link, "lost");
  expect(readlinkSync(link)).toBe(device);
  expect(statSync(device).isCharacterDevice()).toBe(true);
});

describe("refuseOverlap", () => {
  const refusal = expect.objectContaining({ code: "MTA930", kind: "usage" });
  const overlap = (output: string, input: string) => () =>
    refuseOverlap([{ name: "`--output`", path: output }], [{ name: "`--inputs`", path: input }]);

  test("knows a file by another spelling, a symbolic link and a hard link", () => {
    const path = file("weights");
    symlinkSync("weights", join(folder, "soft"));
    linkSync(path, join(folder, "hard"));
    for (const other of [path, `${folder}/./weights`, join(folder, "soft"), join(folder, "hard")]) {
      expect(overlap(other, path)).toThrow(refusal);
      expect(overlap(path, other)).toThrow(refusal);
    }
  });

  test("takes two results of one name as one file, and devices as none", () => {
    const both = (path: string) => () =>
      refuseOverlap(
        [
          { name: "`--csv`", path },
          { name: "`--html`", path },
        ],
        [],
      );
    expect(both(join(folder, "new"))).toThrow(refusal);
    expect(both("/dev/null")).not.toThrow();
    expect(overlap(join(folder, "new"), file("weights"))).not.toThrow();
    expect(overlap(join(folder, "missing/new"), join(folder, "missing/old"))).not.toThrow();
  });
});
