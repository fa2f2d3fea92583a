import type { ARGUMENT_ERRORS } from "../../runtime/contract/arguments.ts";
import type { INPUT_CODES } from "../../runtime/contract/index.ts";
import type { GuideEntry } from "./advice.ts";

type Call = (typeof INPUT_CODES)[keyof typeof INPUT_CODES] | keyof typeof ARGUMENT_ERRORS;

/** Inputs and parameters of a call, whatever the target. */
export const CALL_GUIDE: Readonly<Record<Call, GuideEntry>> = {
  MTA601: {
    meaning: "an input is missing",
    cause:
      "Every call needs `q`, `k` and `v`; a mask with `documents`, `lengths` or `bias` needs those, too.",
    remedy: "Pass the tensor that the message names.",
  },
  MTA602: {
    meaning: "an input that the attention does not read",
    cause:
      "An input was passed that the mask does not mention, or `dropout_seed` where no weights are dropped: it would silently have no effect.",
    remedy: "Leave it out, or add its word to the spec.",
  },
  MTA603: {
    meaning: "an input of the wrong shape",
    cause:
      "A size contradicts the spec or another input: other heads, another head dimension, a batch that differs.",
    remedy:
      "Give it in the layout that the message shows, row-major: q is [B, H, Lq, D], k and v are [B, Hkv, Lk, D].",
  },
  MTA604: {
    meaning: "a size that is no positive integer",
    cause:
      "A tensor, or what `prepare` was asked for, has no rows, no keys or no batch entries, or a size that is negative or a fraction.",
    remedy: "Skip calls with nothing to compute; give whole numbers.",
  },
  MTA605: {
    meaning: "more query rows than keys",
    cause:
      "The last query row stands at the last key, so that with more rows than keys, or with a negative one among `positions`, the first would stand before key 0.",
    remedy: "Pass at least as many keys as rows, and positions from 0 on, or use `mask none`.",
  },
  MTA606: {
    meaning: "a query history that is too long",
    cause: "`q_history` has more rows than lie before the first row of `q`.",
    remedy: "Pass only rows that exist, the last ones before `q`, or raise `positions`.",
  },
  MTA607: {
    meaning: "the layer's number is missing, or is none",
    cause: "`norm depth_scale` depends on the layer, and the call names none, or no whole number from 0.",
    remedy: "Pass `layer`, or use the stack's launchers, which know it.",
  },
  MTA608: {
    meaning: "values that are no 32-bit integers",
    cause:
      "`documents`, `lengths`, `positions` or `dropout_seed` holds fractions, NaN or numbers beyond 32 bits.",
    remedy: "Convert the tensor to int32.",
  },
  MTA611: {
    meaning: "a parameter is missing",
    cause: "The parameters lack a tensor that a stage of the spec has.",
    remedy:
      "Add it; `mtac explain` lists names and shapes, `initParameters()` makes all of them, `mtac weights` brings them from PyTorch.",
  },
  MTA612: {
    meaning: "a parameter that the attention does not have",
    cause: "A tensor is named like no parameter: another spelling, or one of another spec.",
    remedy: "Leave it out or rename it: names are section, stage and kind, as in `scores.conv.weight`.",
  },
  MTA613: {
    meaning: "a parameter of the wrong shape",
    cause: "The spec's stage and the tensor disagree: another kernel size, group or number of heads.",
    remedy: "Change one of them; the message shows the shape that is expected.",
  },
  MTA614: {
    meaning: "a tensor of a call is no tensor of the target",
    cause:
      "A plain array, `null`, a promise, or a tensor of another target stands where a tensor of the device is needed.",
    remedy: "Make it with `upload(device, …)` of the same target, and await what is a promise.",
  },
  MTA615: {
    meaning: "a size, or a position, is beyond 32-bit integers",
    cause: "Kernels count rows, keys and positions in 32-bit integers.",
    remedy: "Stay below 2³¹; positions a little below, so that the last row still fits.",
  },
  MTA616: {
    meaning: "a shape or its strides are no list of whole numbers",
    cause:
      "A shape holds a fraction, a negative number or no numbers at all, or has another length than its strides.",
    remedy: "Give one whole number from 0 for each axis.",
  },
  MTA617: {
    meaning: "there is no such storage type",
    cause:
      "Types of tensors are `f32`, `f16`, `bf16` and `i32`; names of other libraries, such as `float16`, are not.",
    remedy: "Use one of these four.",
  },
  MTA618: {
    meaning: "parameters are no Map of values, or a pipeline is none",
    cause:
      "A launcher made of an artifact takes a Map from names to { shape, data } with floats, not their bits; `initParameters` takes a pipeline.",
    remedy: "Pass `new Map(Object.entries(parameters))`, or use the emitted launcher, which takes an object.",
  },
  MTA619: {
    meaning: "a device of `openDevice` is needed, and something else was given",
    cause:
      "The device is a promise, or a GPUDevice or CpuDevice: `mtac/runtime/auto` has devices of its own.",
    remedy: "Pass what `openDevice()` of `mtac/runtime/auto` gives, awaited.",
  },
  MTA620: {
    meaning: "the attention was compiled without its backward pass",
    cause: "Kernels for gradients are emitted where they are asked for, since most programs never train.",
    remedy: "Compile the spec with `--grad`, or with `grad: true` in the config or the build step.",
  },
  MTA621: {
    meaning: "a backward pass needs a saved call, and something else was given",
    cause: "`backward` was given a result, or its promise, in place of the `saved` in it.",
    remedy: "Pass `saved` of what `forward(inputs, { save: true })` gives, awaited.",
  },
  MTA622: {
    meaning: "the call was saved by another launcher",
    cause:
      "A saved call goes with the launcher that made it: not with one of another attention or device, nor with what `rebuild` made, or new kernels of a page whose spec was changed.",
    remedy: "Call `backward` of the launcher that computed the call, or compute it again.",
  },
  MTA623: {
    meaning: "the saved call was released",
    cause: "`saved.release()` was called before `backward`.",
    remedy: "Release it after the last backward pass.",
  },
  MTA624: {
    meaning: "there is no such gradient",
    cause: "`wanted` names something else than dQ, dQHistory, dK, dV, dBias, parameters or dParameters.",
    remedy: "Name some of these; without `wanted` all are given but dBias and dParameters.",
  },
};
