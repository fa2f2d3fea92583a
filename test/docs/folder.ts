import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import { delimiter, dirname, join } from "node:path";
import { withoutDriverNoise } from "../support/driver-noise.ts";
import { ROOT } from "./blocks.ts";

/** Packages that pages import, or that mtac needs beside it. */
const PACKAGES = [
  "@webgpu",
  "@sparticuz",
  "@types",
  "ts-morph",
  "webgpu",
  "koffi",
  "tsx",
  "vite",
  "typescript",
  "esbuild",
];

/** What pages start by name. */
const COMMANDS = {
  mtac: "dist/cli/main.js",
  tsc: "node_modules/typescript/bin/tsc",
  tsx: "node_modules/tsx/dist/cli.mjs",
};

export interface Printed {
  readonly status: number | null;
  readonly text: string;
}

/** The folder in which a page's program runs: a reader's project, where mtac is installed. */
export class PageFolder {
  readonly path = mkdtempSync(join(os.tmpdir(), "mtac-docs-"));
  readonly #environment: NodeJS.ProcessEnv;

  constructor(cache: string) {
    const modules = join(this.path, "node_modules");
    mkdirSync(modules);
    symlinkSync(ROOT, join(modules, "mtac"), "dir");
    for (const name of PACKAGES) symlinkSync(join(ROOT, "node_modules", name), join(modules, name), "dir");
    writeFileSync(join(this.path, "package.json"), '{ "type": "module" }\n');
    const bin = join(modules, ".bin");
    mkdirSync(bin);
    for (const [name, file] of Object.entries(COMMANDS))
      script(join(bin, name), `exec "${process.execPath}" "${join(ROOT, file)}" "$@"`);
    // Whatever readers start through npx is on the path already.
    script(join(bin, "npx"), 'exec "$@"');
    this.#environment = {
      ...process.env,
      PATH: `${bin}${delimiter}${dirname(process.execPath)}${delimiter}${process.env["PATH"]}`,
      XDG_CACHE_HOME: cache,
      COLUMNS: "80",
      NO_COLOR: "1",
    };
  }

  write(file: string, text: string): string {
    const path = join(this.path, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** What a command prints on both streams. */
  shell(command: string): Promise<Printed> {
    return new Promise((resolve, reject) => {
      const child = spawn("sh", ["-c", `{ ${command}\n} 2>&1`], {
        cwd: this.path,
        env: this.#environment,
        stdio: ["ignore", "pipe", "inherit"],
        timeout: 120_000,
      });
      let printed = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
      });
      child.once("error", reject);
      // Node shows the line that threw, which in a bundle is all of it.
      const shown = () => withoutDriverNoise(printed).replace(/^(.{400}).*$/gm, "$1 …");
      child.once("close", (status) => resolve({ status, text: shown() }));
    });
  }

  /** What a TypeScript program prints on both streams. */
  program(file: string): Promise<Printed> {
    return this.shell(`"${process.execPath}" --import tsx "${file}"`);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function script(path: string, line: string): void {
  writeFileSync(path, `#!/bin/sh\n${line}\n`);
  chmodSync(path, 0o755);
}

export function hasTool(name: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
}
