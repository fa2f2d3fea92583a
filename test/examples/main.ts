// Installs the packed package into fresh copies of the example projects, with the current versions of the tools that build them,
// builds them there and runs what comes out. Prints a line for each check and ends with "N passed, N failed".
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, report, summarise, withScratch } from "../browser/checks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const STEP_MS = 300_000;

/** A step of a project: a command, and what its output has to say. */
interface Step {
  readonly what: string;
  readonly command: readonly string[];
  readonly says?: RegExp;
}

interface Project {
  readonly name: string;
  /** The folder to copy, relative to the repository; null: what `mtac init` writes. */
  readonly folder: string | null;
  /** Packages to install in their current versions, beside mtac. */
  readonly current: readonly string[];
  readonly steps: readonly Step[];
  /** Whose versions to show. */
  readonly tools?: readonly string[];
}

/** Whoever has a starter changes its spec first. */
const CHANGE_SPEC = `
import { readFileSync, writeFileSync } from "node:fs";
const file = "src/attention.mta";
const more = "kv_heads 2\\n  value_dim 16\\n  dtype f16\\n  mask";
writeFileSync(file, readFileSync(file, "utf8").replace("mask", more));
`;

const PROJECTS: readonly Project[] = [
  {
    name: "tsc",
    folder: "examples/tsc",
    current: ["typescript@latest"],
    steps: [
      { what: "builds with tsc", command: ["npm", "run", "build"] },
      { what: "runs and agrees with the reference", command: ["npm", "start"], says: /error .*: passed/ },
    ],
    tools: ["typescript"],
  },
  {
    name: "cmake",
    folder: "examples/cmake",
    current: [],
    steps: [
      { what: "configures", command: ["cmake", "-B", "build"] },
      { what: "builds with nvcc", command: ["cmake", "--build", "build"], says: /search\.cu\.o/ },
      { what: "its test runs, or says that there is no device", command: ["ctest", "--test-dir", "build"] },
      {
        what: "builds nothing again where nothing changed",
        command: ["cmake", "--build", "build"],
        says: /^(?!.*Building)/s,
      },
    ],
  },
  {
    name: "vite",
    folder: "examples/vite",
    current: ["typescript@latest", "vite@latest"],
    steps: [{ what: "builds", command: ["npm", "run", "build"], says: /built in .*/ }],
    tools: ["typescript", "vite"],
  },
  ...["rollup", "rolldown", "webpack", "esbuild"].map(bundled),
  {
    name: "bun",
    folder: "test/plugin/fixture",
    current: ["ts-morph", "bun@latest"],
    steps: [{ what: "builds", command: ["npx", "bun", "bun.ts"], says: /bun: passed, .*/ }],
    tools: ["bun"],
  },
  {
    name: "init",
    folder: null,
    current: ["typescript@latest", "vite@latest"],
    steps: [
      { what: "its spec is right", command: ["npm", "run", "check"], says: /1 file without errors/ },
      { what: "builds with Vite", command: ["npm", "run", "build"], says: /built in .*/ },
      { what: "its test passes", command: ["npm", "test"], says: /Tests\s+1 passed/ },
      { what: "takes another spec", command: ["node", "--input-type=module", "-e", CHANGE_SPEC] },
      { what: "its test passes with that", command: ["npm", "test"], says: /Tests\s+1 passed/ },
      { what: "verifies", command: ["npm", "run", "verify"], says: /✓.*/ },
    ],
    tools: ["typescript", "vite", "vitest"],
  },
];

/** One attention of two, by one bundler. */
function bundled(name: string): Project {
  return {
    name,
    folder: "test/plugin/fixture",
    current: ["ts-morph", `${name}@latest`],
    steps: [
      { what: "builds", command: ["node", "build.mjs", name], says: new RegExp(`${name}: passed, .*`) },
    ],
    tools: [name],
  };
}

class StepFailure extends Error {}

function run(command: readonly string[], cwd: string): string {
  const [program = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: STEP_MS,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
  });
  if (error !== undefined) throw new StepFailure(error.message);
  if (status !== 0) throw new StepFailure(`exit code ${status}\n${(stdout + stderr).slice(-3000)}`);
  return stdout + stderr;
}

/** Packs what is in dist/; gives the tarball. */
function pack(scratch: string): string {
  run(["npm", "pack", "--ignore-scripts", "--pack-destination", scratch], ROOT);
  const tarball = readdirSync(scratch).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack wrote nothing");
  return join(scratch, tarball);
}

function versionOf(folder: string, name: string): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(join(folder, "node_modules", name, "package.json"), "utf8"),
  );
  return `${name} ${manifest.version}`;
}

/** A fresh copy with everything installed from the registry, except mtac, which comes from the tarball. */
function install(project: Project, scratch: string, tarball: string): string {
  const folder = join(scratch, project.name);
  if (project.folder === null) run([process.execPath, join(ROOT, "dist/cli/main.js"), "init", folder], ROOT);
  else
    cpSync(join(ROOT, project.folder), folder, {
      recursive: true,
      filter: (path) => !/node_modules|[\\/](dist|build|src[\\/]attention)$/.test(path),
    });
  // Where there is no package.json, npm would look for one above.
  run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, tarball, ...project.current], folder);
  return folder;
}

function checkProject(project: Project, scratch: string, tarball: string): void {
  const { name, steps, tools = [] } = project;
  let what = "installs";
  try {
    const folder = install(project, scratch, tarball);
    report(`${name}: ${what}`, null, tools.map((tool) => versionOf(folder, tool)).join(", "));
    for (const step of steps) {
      what = step.what;
      const output = run(step.command, folder);
      const said = step.says?.exec(output);
      report(
        `${name}: ${what}`,
        said === null ? `it says\n${output.slice(-2000)}` : null,
        said?.[0].trim() ?? "",
      );
    }
  } catch (error) {
    // What comes after a failed step cannot be.
    report(`${name}: ${what}`, messageOf(error));
  }
}

/** @param names Projects to check; all if none is named. */
export async function checkProjects(names: readonly string[]): Promise<boolean> {
  await withScratch(async (scratch) => {
    const tarball = pack(scratch);
    for (const project of PROJECTS)
      if (names.length === 0 || names.includes(project.name)) checkProject(project, scratch, tarball);
  });
  return summarise();
}
