import type { CpuErrorCode } from "../../runtime/cpu/errors.ts";
import type { Advice } from "./advice.ts";

const CHECK_LAYOUT =
  "Check shape, strides and offset; tensors made by `upload` and `allocate` are always right.";

export const CPU_ADVICE: Readonly<Record<CpuErrorCode, Advice>> = {
  MTA880: {
    cause: 'Machine code was asked for (`library: "native"`), and neither $CC nor cc, gcc or clang runs.',
    remedy: "Install gcc or clang, or leave the choice to `openCpu()`, which takes WebAssembly then.",
  },
  MTA881: {
    cause:
      "The compiled library is called through the package `koffi`, which mtac does not install by itself.",
    remedy: "Run `npm install koffi@3`, or leave the choice to `openCpu()`, which takes WebAssembly then.",
  },
  MTA882: {
    cause:
      "The compiled library is kept in `$XDG_CACHE_HOME/mtac` or `~/.cache/mtac`, which is read-only, full, or no folder.",
    remedy: "Point XDG_CACHE_HOME to a folder that can be written.",
  },
  MTA883: {
    cause:
      "The compiler refuses mtac's C library: it is too old (GCC 12 or Clang 14 are needed), or it is no C compiler.",
    remedy: "Set CC to GCC or Clang; the message holds what the compiler said.",
  },
  MTA884: {
    cause:
      "The library was compiled and cannot be loaded (its folder is mounted without the right to execute, or holds another system's file); in a page, a module's file is not served, or a Content-Security-Policy forbids to fetch or to compile it.",
    remedy:
      "Point XDG_CACHE_HOME to another folder, or delete the one that the message names; in a page, serve `templates/c/*.wasm` of the package, and pass their addresses as `modules`; a policy needs `script-src 'wasm-unsafe-eval'`.",
  },
  MTA885: {
    cause: "The modules need WebAssembly's 128-bit SIMD, which all browsers have since 2023.",
    remedy: "Update the browser, or use another target.",
  },
  MTA886: { cause: "Threads are counted from 1, to 256 at most.", remedy: "Leave `threads` out to use all." },
  MTA887: {
    cause:
      "A device was used after `close()`, a launcher or a tensor after `destroy()`, or a tensor on a device that it was not uploaded to.",
    remedy: "Open the device again, and call `launcher.rebuild(device)`; upload tensors again.",
  },
  MTA888: {
    cause:
      "A tensor, or a call's workspace, is larger than the memory that is left; WebAssembly reaches 4 GiB.",
    remedy:
      "Destroy tensors, call `releaseWorkspace(device)`, split the batch, or use fewer threads: each has a workspace.",
  },
  MTA889: {
    cause:
      "The plan is for another target, of another version of mtac, or was edited: its strip, block or threads are none that the library can take.",
    remedy: "Compile the spec with `--target cpu`.",
  },
  MTA890: {
    cause:
      "A schedule or plan was asked for that the artifact was not compiled with, it has plans for other targets only, or something else was given as artifact.",
    remedy: "Compile the spec again.",
  },
  MTA891: {
    cause: "A tensor's type is not the attention's: f32 for `dtype f16`, for example.",
    remedy: "Upload it in the storage that the message asks for.",
  },
  MTA892: {
    cause: "The last axis must be contiguous, and results may not overlap themselves.",
    remedy: CHECK_LAYOUT,
  },
  MTA893: { cause: "Elements lie at multiples of their size.", remedy: CHECK_LAYOUT },
  MTA894: {
    cause: "Offset, strides and shape together reach past what was allocated.",
    remedy: CHECK_LAYOUT,
  },
  MTA895: {
    cause: "Results are written while inputs are still read.",
    remedy: "Give the output memory of its own.",
  },
  MTA896: {
    cause: "The output's shape is not [B, H, Lq, Dv], or lse's not [B, H, Lq].",
    remedy: CHECK_LAYOUT,
  },
  MTA897: {
    cause: "There are more or fewer values than the shape has elements, or they are of another kind.",
    remedy: "Give one value for each element; Int32Array goes with i32, floats with the other types.",
  },
  MTA898: {
    cause: "The values do not fill the parameter's shape.",
    remedy: "`mtac explain` lists every parameter with its shape.",
  },
  MTA899: {
    cause: "The device is a promise, or of another target.",
    remedy: "Pass what `openCpu()` or `openWasm()` gives, awaited.",
  },
};
