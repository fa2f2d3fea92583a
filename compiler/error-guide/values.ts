import type { DiagnosticCode } from "../language/index.ts";
import type { Advice } from "./advice.ts";

type Values = Extract<DiagnosticCode, `MTA${3 | 4 | 5}${string}`>;

const RESERVED: Advice = {
  cause: "This version does not report it: the code is kept, so that it never means something else.",
  remedy: "Nothing to do.",
};

/** Shapes and ranges, targets, warnings. */
export const VALUE_ADVICE: Readonly<Record<Values, Advice>> = {
  MTA301: {
    cause: "A number that counts something has a fraction, often after a division of constants.",
    remedy: "Choose numbers that divide evenly.",
  },
  MTA302: {
    cause: "A number is smaller or larger than the language allows.",
    remedy: "Stay in the range that the message gives; [the language](./language.md) lists them all.",
  },
  MTA303: {
    cause: "Query heads cannot be shared out evenly among the key/value heads.",
    remedy: "Choose `kv_heads` as a divisor of `heads`.",
  },
  MTA304: {
    cause: "`mix` or `across` groups heads, and the heads cannot be grouped evenly.",
    remedy: "Choose a divisor of `heads`.",
  },
  MTA305: {
    cause:
      "`pad_key both`, the default, centres the kernel on its key, and a kernel of even width has no centre.",
    remedy: "Write `pad_key left` or `pad_key right`, or an odd width (the second number of `conv`).",
  },
  MTA306: {
    cause: "`pad_query both` centres the kernel on its row, and a kernel of even height has no centre.",
    remedy: "Write `pad_query past`, or an odd height (the first number of `conv`).",
  },
  MTA307: { cause: "An expression divides by zero.", remedy: "Change the constant that is zero." },
  MTA308: {
    cause: "A number, or a result, does not fit in a 64-bit float, or is written with too many digits.",
    remedy: "Write it shorter, or with an exponent: `1e30`.",
  },
  MTA309: {
    cause: "`use … at` names a layer that the stack does not have. Layers are counted from 0.",
    remedy: "Stay below `layers`, or raise it.",
  },
  MTA310: {
    cause: "Two `use` lines claim the same layer.",
    remedy: "Give each layer one attention; `otherwise` takes those that are left.",
  },
  MTA311: {
    cause: "No `use` line covers these layers.",
    remedy: "Add `use … at …` for them, or `use … otherwise`.",
  },
  MTA312: { cause: "A range ends before it begins.", remedy: "Write the smaller number first: `2..5`." },
  MTA313: {
    cause: "A section has more than 64 stages.",
    remedy: "Leave some out: neighbouring `mix` stages of one group are one, with other weights.",
  },
  MTA401: RESERVED,
  MTA402: RESERVED,
  MTA403: RESERVED,
  MTA404: RESERVED,
  MTA405: {
    cause:
      "Every schedule needs more workgroup memory, threads or buffers than the target has: large head dimensions, large kernels, many heads in one `mix`.",
    remedy:
      "The message says which limit the nearest schedule breaks. Make `head_dim`, the convolution or the group smaller, use `dtype f16`, leave `--schedule` out, or take another target. `mtac explain` lists all candidates.",
  },
  MTA501: {
    cause:
      "The mask is causal, but a row of the convolution reads later query rows, so that the future leaks into the past.",
    remedy: "Write `pad_query past`, or leave `causal` out of the mask if that is meant.",
  },
  MTA502: {
    cause: "All layers of the stack have their attention already, so that `otherwise` is useless.",
    remedy: "Remove it, or cover fewer layers above.",
  },
  MTA503: {
    cause: "The file is empty, or holds only comments and constants.",
    remedy: "Declare an attention: `attention a { heads 16 head_dim 64 scores { conv 6x11 } }`.",
  },
};
