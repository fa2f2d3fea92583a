import type { GuideEntry } from "./advice.ts";

/** Codes of emitted packages (`runtime/python`); what they share with launchers, the sections above explain. */
export const PYTORCH_GUIDE: Readonly<Record<string, GuideEntry>> = {
  MTA670: {
    meaning: "a tensor of another type than the attention takes",
    cause:
      "Kernels take q, k, v and q_history in one of float32, float16 and bfloat16, the gradient of o in o's type, parameters and bias in float32.",
    remedy:
      "Convert the tensor; float64, and every type with `reference=True`, is computed by the plain formulas.",
  },
  MTA671: {
    meaning: "tensors on devices that differ, or on one without kernels",
    cause:
      "A call's tensors and parameters lie on one device, and the package has kernels for the processor and for CUDA (not for ROCm).",
    remedy: "Move them with `.to(device)`; `reference=True` takes the plain formulas, on every device.",
  },
  MTA672: {
    meaning: "a package's data is of another version of mtac than its runtime, or damaged",
    cause: "`attention.json` or `_runtime` was copied from another package, or not as a whole.",
    remedy: "Write the whole package again, with `mtac compile --python`.",
  },
  MTA673: {
    meaning: "an attention that cannot be spread over processes by rows",
    cause:
      "Each process gets the query rows before its own: a convolution with `pad_query both` reads later ones, too, and a bias has entries for rows that other processes have.",
    remedy: "Use `pad_query past` and masks without bias, or keep all rows in one process.",
  },
  MTA674: {
    meaning: "rows that are not spread over processes one after the other",
    cause:
      "PyTorch's default load balancer for context parallelism gives each process rows from both ends of the sequence: a convolution would meet other neighbours, and be wrong without an error.",
    remedy: "Turn the load balancer off, and pad the sequence so that each process has as many rows.",
  },
  MTA675: {
    meaning: "a derivative that kernels do not have",
    cause:
      "Kernels give gradients. PyTorch's operators of other makers have no forward-mode derivatives, where a tangent would be lost without a word, and these have no gradients of gradients.",
    remedy:
      "Take the plain formulas with `reference=True`, which `torch.func.jvp` and a second backward pass differentiate.",
  },
  MTA685: {
    meaning: "heads that cannot be spread over so many processes",
    cause:
      "A mix, a convolution `across` heads and a shared key head join heads: these are computed together, in one process, and each process has as many heads.",
    remedy:
      "Spread over a number that the message names, mix smaller groups (`mix 4` in place of `mix 16`), or spread rows in place of heads: `context_parallel`.",
  },
  MTA686: {
    meaning: "not the heads of this process",
    cause:
      "The attention's heads are spread over processes, and a tensor has all of them, or another number.",
    remedy:
      "Give each process its own heads, as `ColwiseParallel` of the projections does, or DTensors, which know how they lie.",
  },
  MTA687: {
    meaning: "DTensors and other tensors",
    cause:
      "Some tensors or parameters of a call are DTensors and others are not; or the plain formulas (`reference=True`, float64), which do not compute on DTensors, are asked for.",
    remedy:
      "Put the layer on the mesh with `distribute_module` and every tensor with `distribute_tensor`; for the plain formulas give each process its own tensors.",
  },
  MTA690: {
    meaning: "a model of transformers without its attentions",
    cause:
      "`attach` gives every attention module of a model an attention of its own; there are more modules or fewer, or the model ran before it.",
    remedy: "Call `attach(model, layers)` with one attention for each layer, a stack's for example.",
  },
  MTA691: {
    meaning: "a model of transformers that wants what the spec does not say",
    cause:
      "Its heads, channels, scale, dropout, softcap or mask are others than the spec's: the result would not be the model's.",
    remedy:
      "Write the model's values into the spec; `mask documents` takes padding and packed sequences. Masks of four dimensions are not taken.",
  },
  MTA692: {
    meaning: "a cache that lacks what the attention reads",
    cause:
      "A convolution over queries reads the query rows before; caches of transformers keep keys and values. Caches of a fixed size have keys that are not there yet.",
    remedy:
      "Generate with `use_cache=False`; attentions without convolutions over queries take the default cache.",
  },
};
