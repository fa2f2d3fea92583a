import type { SAFETENSORS_CODES } from "../../runtime/safetensors/codes.ts";
import type { GuideEntry } from "./advice.ts";

type Files = (typeof SAFETENSORS_CODES)[keyof typeof SAFETENSORS_CODES];

const REWRITE = "Download or write it again; other readers of safetensors refuse it, too.";

/** Files of tensors. */
export const SAFETENSORS_GUIDE: Readonly<Record<Files, GuideEntry>> = {
  MTA651: {
    meaning: "the file is cut off",
    cause:
      "It ends before its header or its data does: an interrupted download, or a file of another format (a PyTorch `.pt`, for example).",
    remedy: "Fetch it again, or save it with `safetensors.torch.save_file`.",
  },
  MTA652: {
    meaning: "the header is too long",
    cause: "The first eight bytes claim a header beyond the limit: mostly, this is no safetensors file.",
    remedy: "Save it with `safetensors.torch.save_file`; keep large texts out of the metadata.",
  },
  MTA653: {
    meaning: "the header is no JSON",
    cause: "The file is damaged, or of another format.",
    remedy: REWRITE,
  },
  MTA654: {
    meaning: "an entry of the header is malformed",
    cause:
      "A tensor lacks its type, its shape or its place, or the metadata holds something else than strings.",
    remedy: REWRITE,
  },
  MTA655: {
    meaning: "a type that mtac does not read",
    cause: "A tensor that is needed has a type such as F8 or BOOL.",
    remedy: "Convert it to one of the types that the message lists.",
  },
  MTA656: {
    meaning: "a tensor lies outside the file",
    cause: "The header points past the data: a cut file, or a wrong header.",
    remedy: REWRITE,
  },
  MTA657: {
    meaning: "tensors overlap, or leave gaps",
    cause: "The places of the tensors do not cover the data exactly once.",
    remedy: REWRITE,
  },
  MTA658: {
    meaning: "size and shape of a tensor disagree",
    cause: "The bytes of a tensor are not as many as its shape and type need.",
    remedy: REWRITE,
  },
  MTA659: {
    meaning: "a name that stands twice",
    cause: "Two tensors of the header have one name.",
    remedy: "Give each a name of its own.",
  },
  MTA660: {
    meaning: "an integer beyond 32 bits",
    cause: "`documents`, `lengths` or `positions` holds a number that kernels cannot count.",
    remedy: "Keep them below 2³¹.",
  },
  MTA661: {
    meaning: "a tensor that cannot be written",
    cause: "Data, type and shape of a tensor disagree.",
    remedy: "Give one value of that type for each element.",
  },
  MTA662: {
    meaning: "a parameter is not of a floating-point type",
    cause: "Integers, or quantised values, stand where a weight is needed.",
    remedy: "Store it as F32, F16, BF16 or F64.",
  },
  MTA663: {
    meaning: "a parameter is not in the file",
    cause: "The file names its tensors otherwise, or holds the weights of another attention.",
    remedy: "Convert it with `mtac weights`, or say with `prefix` what stands before the names.",
  },
  MTA664: {
    meaning: "a parameter of the file has the wrong shape",
    cause: "The file holds the weights of another attention, or of another layout.",
    remedy: "Change the stage in the spec, or convert the file with `mtac weights`.",
  },
  MTA665: {
    meaning: "a name, a type or a shape in the header is too long",
    cause:
      "The header holds more than tensors are called or have axes: a damaged file, or one that was made to do harm.",
    remedy: "Fetch the file again from where it comes from, or save it with `safetensors.torch.save_file`.",
  },
};
