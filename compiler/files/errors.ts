import { MtacError } from "../../runtime/contract/index.ts";
import { systemReason } from "../../runtime/contract/system-reason.ts";

export function unreadableFile(path: string, cause: unknown): MtacError {
  return new MtacError("MTA905", "input", `cannot read ${path}: ${systemReason(cause)}`, { cause });
}

export function unwritablePath(path: string, cause: unknown): MtacError {
  return new MtacError("MTA906", "input", `cannot write ${path}: ${systemReason(cause)}`, {
    cause,
    remedy: "choose a path in an existing folder that you may write to; nothing was written",
  });
}
