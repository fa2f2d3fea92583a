import { PACKAGE_LAYOUTS } from "../../python/layouts.ts";
import { EMITTED_TARGETS } from "../../targets.ts";
import { command } from "../command.ts";
import { either, type FlagsOf, given, oneOf, optionalText, splitList, text, unless, value } from "../flag.ts";
import * as shared from "../flags.ts";

export const COMPILE = command({
  name: "compile",
  summary: "write kernels, launchers and plans",
  description:
    "Write the attentions and stacks of a spec: WGSL, CUDA and C kernels with typed launchers, C headers, their plans.",
  arguments: [["[spec]", "spec file (.mta or .ts); default: those of mtac.config.ts"]],
  flags: {
    name: shared.NAME_OF_ALL,
    target: shared.targets(EMITTED_TARGETS, "targets, separated by commas (default: all of them)"),
    out: text("<dir>", "output folder (default: ./<spec name>.mtac)"),
    arch: value("<archs>", "CUDA architectures to plan for, separated by commas (default: sm_80)", splitList),
    ptxas: either(
      "show registers, shared memory and spills of the CUDA kernels (default where --target names cuda and nvcc is there)",
      "do not",
    ),
    images: optionalText(
      "[place]",
      "compile the CUDA kernels, as cubins of the architectures and PTX: `embed` (the default) puts them into the CUDA launchers, which then need no compiler; `files` writes .cubin, .ptx and .fatbin files",
    ),
    launcher: unless("no TypeScript: kernels, C headers, CMake files and plans only"),
    grad: given("gradients, too: launchers have `backward`"),
    python: given(
      "a Python package for PyTorch, with gradients, in place of launchers (default folder: ./<spec name>.python)",
    ),
    layout: oneOf(
      "<layout>",
      "how the Python package lies in its folder: `package`, which pip installs (the default), or `kernel-builder`, a source that Hugging Face's kernel-builder builds for its Hub",
      PACKAGE_LAYOUTS,
    ),
    schedule: shared.SCHEDULE,
    length: shared.LENGTH,
    tuning: text(
      "<file>",
      "results of `mtac tune export`, for launchers to prefer on the devices that it names",
    ),
    tuned: shared.TUNED,
    store: shared.STORE,
    config: text("<file>", "the project's settings (default: the nearest mtac.config.ts)"),
    watch: given("compile again whenever the spec or the config changes"),
    json: shared.JSON_OBJECT,
  },
});

/** What is not given comes from the project's config. */
export type CompileFlags = FlagsOf<typeof COMPILE.flags>;
