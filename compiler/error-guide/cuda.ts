import { CUDA_ERRORS, type CudaErrorCode } from "../../runtime/cuda/errors.ts";
import type { Advice, GuideEntry } from "./advice.ts";

const CHECK_LAYOUT =
  "Check shape, strides and address; tensors made by `upload` and `allocate` are always right.";

/** A remedy stands here where the runtime's own table has none. */
type CudaAdvice = { readonly cause: string } & Partial<Advice>;

const ADVICE: Readonly<Record<CudaErrorCode, CudaAdvice>> = {
  MTA801: {
    cause:
      "There is no libcuda: no NVIDIA GPU, or no driver for it. In containers, it must be passed through.",
  },
  MTA802: {
    cause: "CUDA is called through the package `koffi`, which mtac does not install by itself.",
    remedy: "Run `npm install koffi@3`, or use the target cuda-emulated.",
  },
  MTA803: {
    cause: "The device's number or name is none of this machine's, or `CUDA_VISIBLE_DEVICES` hides it.",
  },
  MTA804: {
    cause:
      "The driver is there and does not start: it is older than the kernel module, or was updated without a restart.",
  },
  MTA805: { cause: "An earlier kernel failed, and CUDA keeps no context alive after that." },
  MTA806: { cause: "The device was used after `close()`." },
  MTA807: {
    cause: "The emulated device executes the PTX that nvcc makes of the kernels, and there is no nvcc.",
  },
  MTA808: { cause: "The architecture is misspelt, or no architecture at all." },
  MTA810: {
    cause:
      "Each plan of the artifact was made for another architecture, or needs more shared memory than the device has.",
  },
  MTA811: {
    cause:
      "A schedule, storage or architecture was asked for that the artifact was not compiled with, or something else was given as artifact.",
  },
  MTA812: {
    cause: "The artifact lacks a source of its plan: files were left behind, or mixed from two compilations.",
  },
  MTA813: {
    cause: "nvcc or NVRTC refuses a kernel: an old toolkit, or a defect of mtac, which should be reported.",
  },
  MTA814: {
    cause:
      "The driver is older than the toolkit that compiled the kernels, or the image is for another architecture.",
  },
  MTA815: { cause: "Neither NVRTC nor nvcc was found, and the artifact holds no image for this device." },
  MTA816: {
    cause:
      "A compiled module does not hold the kernel that the plan names: files of two compilations were mixed.",
  },
  MTA817: { cause: "nvcc was found and cannot be started." },
  MTA820: {
    cause: "A tensor's type is not the attention's: f32 for `dtype f16`, for example.",
    remedy: "Upload it in the storage that the message asks for.",
  },
  MTA821: {
    cause: "Strides are negative, let elements overlap in an output, or leave the last axis not contiguous.",
    remedy: CHECK_LAYOUT,
  },
  MTA822: {
    cause: "Kernels read several elements at once, and a row begins in the middle of such a group.",
    remedy: "Pad rows to the multiple that the message gives, or copy the tensor.",
  },
  MTA823: {
    cause: "A tensor begins at an address that is no multiple of what kernels read at once.",
    remedy: "Start it at a multiple of 16 bytes, or copy it.",
  },
  MTA824: { cause: "Shape, strides and address reach past the end of the allocation.", remedy: CHECK_LAYOUT },
  MTA825: { cause: "The memory was freed, is the host's, or belongs to another device." },
  MTA826: { cause: "Kernels read inputs while they write outputs, so that the two cannot share memory." },
  MTA827: {
    cause: "An `out` tensor does not have the shape of the result.",
    remedy: "Make it with the shape that the message gives, or leave it out.",
  },
  MTA828: {
    cause: "The number of values is not the product of the shape, or an array of another type was given.",
  },
  MTA830: {
    cause: "The call would need more blocks than CUDA starts at once.",
    remedy: "Split the batch or the rows; the message says which limit is exceeded.",
  },
  MTA831: { cause: "A kernel needs more shared memory, registers or threads than the device has." },
  MTA832: { cause: "The device has no memory left for a tensor or the workspace." },
  MTA833: { cause: "A call of the driver failed in a way that has no code of its own." },
  MTA834: { cause: "A kernel read or wrote where it may not, or was stopped." },
  MTA840: {
    cause: "A parameter has more or fewer values than its shape.",
    remedy: "Give as many values as the message says.",
  },
  MTA841: { cause: "A launcher was used after `destroy()`." },
  MTA842: { cause: "`create…(device, …)` was called with something else: a promise, a GPUDevice, null." },
};

/** The CUDA runtime. */
export const CUDA_GUIDE: Readonly<Record<string, GuideEntry>> = Object.fromEntries(
  Object.entries(CUDA_ERRORS).map(([code, { meaning, remedy }]) => [
    code,
    { meaning, remedy: asSentence(remedy ?? ""), ...(isCudaCode(code) ? ADVICE[code] : { cause: "" }) },
  ]),
);

function isCudaCode(code: string): code is CudaErrorCode {
  return Object.hasOwn(ADVICE, code);
}

/** Messages put remedies behind "fix:", in small letters and without an end. */
function asSentence(remedy: string): string {
  return remedy && `${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}.`;
}
