// Stands in for the editor: loads the built extension with a module `vscode` in which every class and function exists and does
// next to nothing, activates it, and prints as JSON what it registered and logged. Arguments: the extension's folder, the
// setting `mtac.path`, the workspace's folder ("" for none).
import { readFileSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { join } from "node:path";

const [extension = "", setting = "", workspace = ""] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const registered = new Set();
const messages = [];
const nothing = { dispose() {} };

/** A class, namespace or enum of which every member exists; what registers something is remembered. */
function anything(name) {
  class Double {
    dispose() {}
  }
  return new Proxy(Double, {
    get(target, key) {
      if (key in target || typeof key === "symbol") return target[key];
      if (!/^(register|create|on)/.test(key)) return anything(`${name}.${key}`);
      return () => {
        registered.add(key);
        return { ...nothing, set() {}, clear() {}, delete() {}, forEach() {}, name };
      };
    },
  });
}

function withOwn(name, own) {
  const rest = anything(name);
  return new Proxy(own, { get: (target, key) => (key in target ? target[key] : rest[key]) });
}

class EventEmitter {
  #listeners = [];
  event = (listener) => {
    this.#listeners.push(listener);
    return nothing;
  };
  fire(value) {
    for (const listener of this.#listeners) listener(value);
  }
  dispose() {}
}

const log = {
  ...nothing,
  logLevel: 3,
  onDidChangeLogLevel: () => nothing,
  ...Object.fromEntries(
    ["trace", "debug", "append", "appendLine", "show", "warn"].map((name) => [name, () => {}]),
  ),
  info: (text) => messages.push(`info: ${text}`),
  error: (text) => messages.push(`error: ${text}`),
};

// The names come from the editor's own declarations, so that none is missing.
const declarations = readFileSync(require.resolve("@types/vscode/index.d.ts"), "utf8");
const names = [...declarations.matchAll(/^\s+export (?:abstract class|class|enum|namespace) (\w+)/gm)];
const vscode = {
  ...Object.fromEntries(names.map(([, name]) => [name, anything(name)])),
  version: "1.91.0",
  EventEmitter,
  env: { language: "en", appName: "double", appHost: "desktop" },
  window: withOwn("window", {
    visibleTextEditors: [],
    tabGroups: { all: [], onDidChangeTabs: () => nothing },
    createOutputChannel: () => log,
    showErrorMessage: async (text) => void messages.push(`shown: ${text}`),
  }),
  workspace: withOwn("workspace", {
    isTrusted: true,
    textDocuments: [],
    notebookDocuments: [],
    workspaceFolders: workspace === "" ? undefined : [{ uri: { fsPath: workspace } }],
    getConfiguration: () => ({ get: (key, fallback) => (key === "path" ? setting : fallback) }),
  }),
};

const load = Module._load;
Module._load = (name, ...rest) => (name === "vscode" ? vscode : load(name, ...rest));

const { activate, deactivate } = require(join(extension, "dist/extension.cjs"));
await activate({ subscriptions: [], asAbsolutePath: (path) => join(extension, path) });
await deactivate();
console.log(JSON.stringify({ registered: [...registered].sort(), messages }));
