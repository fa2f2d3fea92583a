import type { GuideEntry } from "./advice.ts";

/** The command line, files and bundler plugins. */
export const COMMAND_LINE_GUIDE: Readonly<Record<string, GuideEntry>> = {
  MTA900: {
    meaning: "wrong usage",
    cause: "An option or argument is unknown, missing, or does not go with another.",
    remedy:
      "`mtac --help` lists the commands, `mtac COMMAND --help` the options of one; [the command line](./command-line.md) has them all.",
  },
  MTA903: {
    meaning: "an unknown target",
    cause: "`--target`, or `targets` of `compile`, names no target, or one that is not served there.",
    remedy: "Take one from the message's list.",
  },
  MTA905: {
    meaning: "a file cannot be read",
    cause: "There is no such file, it is a folder, or it may not be read.",
    remedy: "Check the path; it is relative to the current folder.",
  },
  MTA906: {
    meaning: "a file cannot be written",
    cause:
      "The folder does not exist or may not be written to, the disk is full, or the file is read-only. Nothing was written.",
    remedy: "Choose another path, or make the file writable.",
  },
  MTA907: {
    meaning: "a package for TypeScript is missing",
    cause:
      "Specs and configs in TypeScript are read with `ts-morph`, and bundler plugins make JavaScript with it; mtac does not install it by itself.",
    remedy: "Run `npm install --save-dev ts-morph`.",
  },
  MTA908: {
    meaning: "a TypeScript spec that gives no declaration",
    cause: "The module throws, or exports no attention, stack or tune as default.",
    remedy: 'Export one declaration, or an array of them: `export default attention("name", { … })`.',
  },
  MTA909: {
    meaning: "which attention is meant",
    cause: "The command works on one attention, and the spec declares several, or none.",
    remedy: "Choose one with `--name`.",
  },
  MTA910: {
    meaning: "no attention of that name",
    cause: "`--name` names nothing that the spec declares.",
    remedy: "Take a name from the message's list.",
  },
  MTA911: {
    meaning: "a layer that does not fit",
    cause: "`--layer` is no layer of the stack, or is given without a stack.",
    remedy: "Give a layer from 0 to `layers` − 1, with the stack's name in `--name`.",
  },
  MTA912: {
    meaning: "inputs with NaN or infinity",
    cause: "`--strict` refuses inputs that hold values which are not finite.",
    remedy: "Clean the inputs, or run without `--strict`.",
  },
  MTA913: {
    meaning: "a tensor that the attention does not have",
    cause:
      "A file of inputs holds a tensor that is neither an input nor a parameter: often weights under the names of another framework.",
    remedy:
      "Rename or remove it; `mtac weights` converts a state dict, and `run --weights` takes a file with more tensors than it needs. See [weights from PyTorch](./weights.md).",
  },
  MTA914: {
    meaning: "a tensor of the wrong type",
    cause: "An input of numbers is stored as integers, or `documents`, `lengths` or `positions` as floats.",
    remedy: "Store it in a type that the message lists.",
  },
  MTA915: {
    meaning: "an unknown GPU architecture",
    cause:
      "`--arch` is misspelt, names no architecture, or one older than sm_80, for which there are no kernels.",
    remedy:
      "Write it as `sm_80` or `sm_90`; in CMake, `set(CMAKE_CUDA_ARCHITECTURES 80)` before `project()`.",
  },
  MTA916: {
    meaning: "an architecture without CUDA",
    cause: "`--arch` was given with a target that has none.",
    remedy: "Leave it out, or use `--target cuda`.",
  },
  MTA917: {
    meaning: "nvcc cannot compile a kernel",
    cause: "`--ptxas` or `--images` ran nvcc, and it failed: an old toolkit, or a defect of mtac.",
    remedy: "Update the toolkit, or report the message with the spec.",
  },
  MTA918: {
    meaning: "a device older than sm_80",
    cause: "mtac's CUDA kernels use instructions that came with compute capability 8.0.",
    remedy: "Use a newer device, or `--target webgpu` on this one.",
  },
  MTA920: {
    meaning: "a name without a spec",
    cause: "`--name` chooses an attention of a spec, and no spec was given.",
    remedy: "Give the spec's file.",
  },
  MTA921: {
    meaning: "no winner that fits",
    cause: "The store holds no measurement for this attention, target and device.",
    remedy: "Run `mtac tune` first; `mtac tune show` lists what there is.",
  },
  MTA922: {
    meaning: "an unknown GPU",
    cause: "`--gpu` names none of the GPUs whose peaks mtac knows.",
    remedy: "Take one from the message's list.",
  },
  MTA923: {
    meaning: "a GPU of another target",
    cause: "The table has this GPU for CUDA or for WebGPU only.",
    remedy: "Use the target that the message names, or leave `--target` out.",
  },
  MTA924: {
    meaning: "an unknown peer",
    cause: "`--peers` names no implementation that `mtac bench` can compare with.",
    remedy: "Take one from the message's list, or `all` or `none`.",
  },
  MTA925: {
    meaning: "peers where nothing is timed",
    cause:
      "The emulated device counts cycles, and other implementations take time: the two cannot be compared.",
    remedy: "Leave `--peers` out, or use a target that takes time.",
  },
  MTA926: {
    meaning: "a wrong mtac.config.ts",
    cause: "The config does not load, exports no settings as default, or has one of another name or type.",
    remedy: "Export `defineConfig({ … })` as default, and let TypeScript check it.",
  },
  MTA927: {
    meaning: "a spec is needed",
    cause: "No spec was named, and no config from the current folder up names any.",
    remedy: 'Name one, or write `specs: ["spec.mta"]` into mtac.config.ts.',
  },
  MTA928: {
    meaning: "files in the way",
    cause: "`mtac init` would write over files that are there. Nothing was written.",
    remedy: "Choose a new folder: `mtac init my-attention`.",
  },
  MTA929: {
    meaning: "a kernel of another spec",
    cause:
      "`mtac explain SPEC --trace` was given a kernel that was not compiled from this spec, that was changed since, or whose plan (`.plan.json`) is not beside it.",
    remedy: "Name the spec that the message names, or compile it again.",
  },
  MTA930: {
    meaning: "an output that is also an input",
    cause:
      "The command would destroy what it reads, or write two results into one file. Nothing was written.",
    remedy: "Choose another file for the output.",
  },
  MTA931: {
    meaning: "no tuning store",
    cause: "`--store` names a file that holds something else.",
    remedy: "Name a tuning store, or a file that does not exist yet.",
  },
  MTA932: {
    meaning: "Node is too old",
    cause: "mtac needs Node 20.19 or newer.",
    remedy: "Install a later Node.",
  },
  MTA940: {
    meaning: "a peer cannot be used",
    cause:
      "A package or program of the other implementation is missing, or its operators cannot compute the attention.",
    remedy: "Install what the message names; rows of other peers are not affected.",
  },
  MTA941: {
    meaning: "a peer failed",
    cause: "The other implementation was started, and ended, answered nonsense, or took too long.",
    remedy: "Run it by itself to see why; rows of other peers are not affected.",
  },
  MTA945: {
    meaning: "a wrong --map",
    cause: "`--map` is not of the form `from=to` or `from=to:transpose`, or names no parameter.",
    remedy: "Correct it; `mtac explain` lists the parameters.",
  },
  MTA946: {
    meaning: "where the weights are",
    cause: "No prefix of the state dict holds the parameters, or several do.",
    remedy: "Say which with `--prefix`, and for a stack which layers.",
  },
  MTA947: {
    meaning: "weights are missing",
    cause: "The state dict has no tensor for some parameters, under none of the names of the layout.",
    remedy: "Name them with `--map`, or remove the stages from the spec.",
  },
  MTA948: {
    meaning: "weights of the wrong shape",
    cause: "The model has another kernel size, group or number of heads than the spec.",
    remedy: "Change the spec's stage to what the model has, or choose another tensor with `--map`.",
  },
  MTA949: {
    meaning: "several tensors for one parameter",
    cause: "The state dict names the same parameter twice, in two spellings.",
    remedy: "Choose one with `--map`.",
  },
  MTA933: {
    meaning: "a wrong option of the compiler's functions",
    cause: "`compile`, `emitArtifact` or the planner was given an option of another name or type.",
    remedy: "Correct it; TypeScript knows all of them.",
  },
  MTA934: {
    meaning: "a file that a kit for a GPU did not write",
    cause: "`mtac bench --import` was given another file, or one of a kit that another version of mtac made.",
    remedy: "Give the `results.json` that `python3 run.py` wrote, with the mtac that made the kit.",
  },
  MTA960: {
    meaning: "a wrong option of the bundler plugin",
    cause: "`mtac({ … })` was given an option of another name or type.",
    remedy: "Correct it; TypeScript knows all of them.",
  },
  MTA961: {
    meaning: "no such module of a spec",
    cause: "An import asks for an attention or stack that the spec does not declare.",
    remedy: "Import from the spec itself.",
  },
  MTA962: {
    meaning: "a name that webpack cannot load",
    cause: "webpack takes what follows `?` in a path for a query.",
    remedy: "Rename the spec.",
  },
  MTA999: {
    meaning: "mtac itself failed",
    cause: "A defect of mtac.",
    remedy: "Report it with the spec, the command and the message.",
  },
};
