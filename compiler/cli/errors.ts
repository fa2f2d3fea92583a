import { MtacError } from "../../runtime/contract/index.ts";
import { deviceFacts, hasArchitectures, hasDevice, quoted, TARGETS, type TargetName } from "../targets.ts";

/** What the command line itself refuses (MTA9xx). */

export function wrongUsage(message: string, remedy?: string): MtacError {
  return usage(
    "MTA900",
    message,
    remedy ?? "`mtac --help` lists the commands, `mtac COMMAND --help` its options",
  );
}

export function badTypeScriptSpec(path: string, message: string, cause?: unknown): MtacError {
  return new MtacError("MTA908", "input", `${path}: ${message}`, {
    cause,
    remedy:
      'export one declaration, or an array of them, as default: `export default attention("name", { heads: 2, headDim: 64 })`',
  });
}

export function nameNeeded(file: string, names: readonly string[]): MtacError {
  return usage(
    "MTA909",
    `${file} declares ${names.length === 0 ? "no attention" : `several attentions: ${names.join(", ")}`}`,
    names.length === 0 ? "declare one" : "choose one with `--name`",
  );
}

export function unknownName(file: string, name: string, names: readonly string[]): MtacError {
  const list = names.length === 0 ? "none" : names.join(", ");
  return usage("MTA910", `${file} declares no attention or stack \`${name}\``, `it declares ${list}`);
}

export function layerProblem(message: string, remedy: string): MtacError {
  return usage("MTA911", message, remedy);
}

export function nonFiniteInputs(list: string): MtacError {
  return new MtacError("MTA912", "input", `inputs hold NaN or infinite values: ${list}`, {
    remedy: "clean the inputs, or run without `--strict`",
  });
}

/** @param name What `cudaArchitecture` does not know: another spelling, an older device, or no architecture at all. */
export function unknownArchitecture(name: string): MtacError {
  const [, number, suffix = ""] = /^(?:(?:sm|compute)_?)?(\d+)([af]?)$/i.exec(name) ?? [];
  if (number === undefined)
    return usage("MTA915", `there is no GPU architecture \`${name}\``, "give one as sm_80, sm_90a …");
  if (Number(number) >= 80)
    return usage(
      "MTA915",
      `\`${name}\` is not how architectures are written`,
      `did you mean \`sm_${number}${suffix.toLowerCase()}\`?`,
    );
  return usage(
    "MTA915",
    `mtac's kernels need sm_80 or newer, and \`${name}\` is older`,
    "plan for sm_80 or newer; in CMake, `set(CMAKE_CUDA_ARCHITECTURES 80)` before `project()`, or ARCHITECTURES of mtac_add_kernels",
  );
}

export function architectureWithoutCuda(target: string): MtacError {
  return usage(
    "MTA916",
    `\`--arch\` says nothing on \`${target}\``,
    `leave it out, or use ${targetFlags(hasArchitectures)}`,
  );
}

export function architectureOfGpu(): MtacError {
  return wrongUsage(
    "`--arch` does not go with `--roofline`",
    "each GPU has its own: choose GPUs with `--gpu`",
  );
}

export function notTunable(word: string): MtacError {
  return wrongUsage(
    word === "" || word.startsWith("-")
      ? "`mtac tune` needs a spec or a subcommand"
      : `\`${word}\` is neither a spec file (.mta or .ts) nor a subcommand of \`mtac tune\``,
    "`mtac tune --help` lists the subcommands",
  );
}

export function onlyOverStdio(): MtacError {
  return wrongUsage(
    "the language server speaks over stdin and stdout only",
    "editors start `mtac lsp --stdio`",
  );
}

export function nameWithoutSpec(): MtacError {
  return usage("MTA920", "`--name` needs a spec", "give the spec file that declares it");
}

export function nothingTuned(store: string): MtacError {
  return new MtacError("MTA921", "input", `${store} holds no winner that fits`, {
    remedy: "`mtac tune show` lists what it holds",
  });
}

export function unknownGpu(name: string, known: readonly string[], meant: string | null): MtacError {
  const list = `the table has ${quoted(known)}`;
  return usage(
    "MTA922",
    `there is no GPU \`${name}\` in the table`,
    meant === null ? list : `did you mean \`${meant}\`? ${list}`,
  );
}

export function gpuWithoutTarget(gpu: string, target: string, served: readonly string[]): MtacError {
  return usage(
    "MTA923",
    `\`${gpu}\` is in the table for other targets than \`${target}\``,
    `use ${targetFlags((each) => served.includes(each))}, or leave \`--target\` out`,
  );
}

export function unknownPeer(name: string, known: readonly string[]): MtacError {
  return usage(
    "MTA924",
    `there is no peer \`${name}\``,
    `choose from ${quoted(known)}, or \`all\` or \`none\``,
  );
}

export function peersWithoutTimes(target: string): MtacError {
  return usage(
    "MTA925",
    `peers take time, \`${target}\` counts cycles: they cannot be compared`,
    `leave \`--peers\` out, or use ${targetFlags((each) => hasDevice(each) && !deviceFacts(each).counts)}`,
  );
}

export function specNeeded(command: string, config: string | null): MtacError {
  return usage(
    "MTA927",
    config === null
      ? `\`mtac ${command}\` needs a spec: none is named, and there is no mtac.config.ts`
      : `\`mtac ${command}\` needs a spec: none is named, and ${config} has no \`specs\``,
    `\`mtac ${command} spec.mta\`, or \`specs: ["spec.mta"]\` in mtac.config.ts`,
  );
}

export function filesInTheWay(folder: string, files: readonly string[]): MtacError {
  return usage(
    "MTA928",
    `${folder} has ${files.join(", ")} already; nothing was written`,
    "choose a new folder: `mtac init my-attention`",
  );
}

export function untraceable(message: string, remedy: string): MtacError {
  return usage("MTA929", message, remedy);
}

export function layerNeeded(attention: string): MtacError {
  return usage(
    "MTA230",
    `\`${attention}\` scales its norm by depth (depth_scale), but no layer is given`,
    "give the layer's number with `--layer`",
  );
}

/** The targets that would do, as flags. */
function targetFlags(fits: (target: TargetName) => boolean): string {
  return TARGETS.filter(fits)
    .map((each) => `\`--target ${each}\``)
    .join(" or ");
}

function usage(code: string, message: string, remedy: string): MtacError {
  return new MtacError(code, "usage", message, { remedy });
}
