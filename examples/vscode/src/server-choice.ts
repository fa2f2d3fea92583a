import { existsSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";

/** Which language server to start, and what to say about it. */
export interface ServerChoice {
  /** A module for the editor's own Node, or a command of the system. */
  readonly kind: "module" | "command";
  readonly path: string;
  readonly args: readonly string[];
  /** For people. */
  readonly origin: string;
}

export interface ChoiceInputs {
  /** `mtac.path`; empty where it is not set. */
  readonly setting: string;
  /** The workspace's folders. */
  readonly folders: readonly string[];
  /** A workspace that is not trusted must not bring the program that runs. */
  readonly trusted: boolean;
  /** The server that comes with the extension. */
  readonly bundled: string;
}

/** The servers to try, the most wanted first: the setting's, else the workspace's own; last, the extension's. */
export function serverChoices({ setting, folders, trusted, bundled }: ChoiceInputs): readonly ServerChoice[] {
  const own: ServerChoice = { kind: "module", path: bundled, args: [], origin: "comes with the extension" };
  if (!trusted) return [own];
  if (setting !== "") return [fromSetting(setting, folders), own];
  const installed = folders.flatMap((folder) => installedIn(folder) ?? []).slice(0, 1);
  return [...installed, own];
}

function fromSetting(setting: string, folders: readonly string[]): ServerChoice {
  const [first = ""] = folders;
  const isPath = /[/\\]/.test(setting) && !isAbsolute(setting);
  const path = isPath ? join(first, setting) : setting;
  const kind = /\.[cm]?js$/.test(path) ? "module" : "command";
  return { kind, path, args: ["lsp"], origin: "from the setting mtac.path" };
}

/** The package in a folder's `node_modules`; null where there is none, or an old one without a language server. */
function installedIn(folder: string): ServerChoice | null {
  const root = join(folder, "node_modules", "mtac");
  const bin = binOf(join(root, "package.json"));
  if (bin === null || !existsSync(join(root, bin))) return null;
  return { kind: "module", path: join(root, bin), args: ["lsp"], origin: `installed in ${folder}` };
}

function binOf(manifest: string): string | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(manifest, "utf8"));
  } catch {
    return null;
  }
  if (typeof parsed !== "object" || parsed === null || !("bin" in parsed)) return null;
  const { bin } = parsed;
  if (typeof bin !== "object" || bin === null || !("mtac" in bin)) return null;
  return typeof bin.mtac === "string" ? bin.mtac : null;
}
