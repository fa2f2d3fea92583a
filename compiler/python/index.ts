import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Pipeline } from "../../runtime/contract/index.ts";
import type { EmittedStack, Provenance } from "../emit/launcher/index.ts";
import { printJson } from "../emit/launcher/literal.ts";
import { rendererOf } from "../emit/renderer.ts";
import { packageFolder } from "../emit/template-folder.ts";
import { wrongOption } from "../options.ts";
import { type CudaKernels, cudaFiles } from "./cuda.ts";
import { packageData, STORAGES, specHash } from "./data.ts";
import type { PackageLayout } from "./layouts.ts";
import { packageModel } from "./model.ts";
import { openTemplates } from "./template-library.ts";

type Model = ReturnType<typeof packageModel>;

interface Templates {
  readonly "python/init.py.hbs": Model;
  readonly "python/functional.py.hbs": Model;
  readonly "python/layers.py.hbs": Model;
  readonly "python/huggingface.py.hbs": Model;
  readonly "python/build.py.hbs": Model;
  readonly "python/test.py.hbs": Model;
  readonly "python/pyproject.toml.hbs": Model;
  readonly "python/readme.md.hbs": Model;
  readonly "python/build.toml.hbs": Model;
  readonly "python/flake.nix.hbs": Model;
  readonly "python/card.md.hbs": Model;
}

const render = rendererOf<Templates>(openTemplates);

/** How a package is written. */
export interface PackageOptions {
  /** Whether it has kernels for CUDA, or which: it has those that the planner chooses, if not said. Planning them takes most of the time. */
  readonly cuda?: boolean | CudaKernels;
  /** How it lies in its folder: as pip takes it, if not said. */
  readonly layout?: PackageLayout;
  /** Of kernel-builder's layout: where its builds go on the Hub, `owner/name`; a place to put the owner in, if not said. */
  readonly repository?: string;
}

/**
 * A Python package for PyTorch that computes attentions, with gradients: files by their paths in a folder that `pip install` takes.
 *
 * @param pipelines At least one.
 * @throws MtacError MTA933: two attentions or stacks would have one name in Python; kernel-builder does not take its name.
 */
export function emitPythonPackage(
  pipelines: readonly Pipeline[],
  stacks: readonly EmittedStack[],
  provenance: Provenance,
  { cuda = true, layout = "package", repository }: PackageOptions = {},
): Readonly<Record<string, string>> {
  const hash = specHash(pipelines, provenance);
  const kernelBuilder = layout === "kernel-builder";
  const kernels = cuda === true ? { storages: STORAGES } : cuda || null;
  const model = packageModel(pipelines, stacks, provenance, hash, {
    cuda: kernels !== null,
    kernelBuilder,
    repository,
  });
  refuseTwice(model.exports);
  const name = model.package;
  return {
    ...FRAMES[layout](model),
    ...inFolder(kernelBuilder ? `torch-ext/${name}` : name, {
      "__init__.py": render("python/init.py.hbs", model),
      "functional.py": render("python/functional.py.hbs", model),
      "layers.py": render("python/layers.py.hbs", model),
      "huggingface.py": render("python/huggingface.py.hbs", model),
      "build.py": render("python/build.py.hbs", model),
      "attention.json": printJson(packageData(pipelines, provenance, model.namespace)),
      "py.typed": "",
      ...folder("runtime/python", /\.py$/, "_runtime"),
      ...folder("templates/c", /(?<!^wasm.*)\.[ch]$/, "_native"),
      ...(kernels === null
        ? {}
        : inFolder("_cuda", Object.assign({}, ...pipelines.map((each) => cudaFiles(each, kernels))))),
    }),
    [`tests/test_${name}.py`]: render("python/test.py.hbs", model),
  };
}

/** What stands around a package in each layout, and says what it is. */
const FRAMES: Readonly<Record<PackageLayout, (model: Model) => Readonly<Record<string, string>>>> = {
  package: (model) => ({
    "pyproject.toml": render("python/pyproject.toml.hbs", model),
    "README.md": render("python/readme.md.hbs", model),
  }),
  "kernel-builder": (model) => {
    refuseKernelName(model.kernel, model.spec);
    return {
      "build.toml": render("python/build.toml.hbs", model),
      "flake.nix": render("python/flake.nix.hbs", model),
      // A build fills it in, as a template with braces of its own.
      "CARD.md": render("python/card.md.hbs", { ...model, spec: model.spec.replaceAll("{", "&#123;") }),
    };
  },
};

/** kernel-builder takes names of lower-case letters, digits and hyphens, two at least, and makes the module's of them. @throws MtacError MTA933 */
function refuseKernelName(kernel: string, spec: string): void {
  if (!/^[a-z][a-z0-9-]*[a-z0-9]$/.test(kernel))
    throw wrongOption(
      `kernel-builder takes no kernel that is called as ${spec} would be, "${kernel}"`,
      "name the spec's file with two or more lower-case letters, digits and `_`, a letter first and no `_` last, and not as a word or a module of Python",
    );
}

/** Files of a folder of this package, as they are. */
function folder(path: string, wanted: RegExp, target: string): Readonly<Record<string, string>> {
  const from = packageFolder(path);
  const names = readdirSync(from).filter((each) => wanted.test(each));
  return Object.fromEntries(
    names.sort().map((each) => [`${target}/${each}`, readFileSync(join(from, each), "utf8")]),
  );
}

function inFolder(target: string, files: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`${target}/${name}`, text]));
}

function refuseTwice(names: readonly string[]): void {
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice !== undefined)
    throw wrongOption(`two attentions or stacks are called ${twice} in Python`, "rename one of them");
}
