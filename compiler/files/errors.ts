import { MtacError } from "../../runtime/contract/index.ts";
import { systemReason } from "../../runtime/contract/system-reason.ts";

export function unreadableFile(path: string, cause: unknown): MtacError {
  return new MtacError("MTA905", "input", `cannot read ${path}: ${systemReason(cause)}`, { cause });
}

export function notUtf8(name: string, cause: unknown): MtacError {
  return new MtacError("MTA905", "input", `cannot read ${name}: it is not UTF-8 text`, {
    cause,
    remedy: "save it in the encoding UTF-8",
  });
}

export function unwritablePath(path: string, cause: unknown): MtacError {
  return new MtacError("MTA906", "input", `cannot write ${path}: ${systemReason(cause)}`, {
    cause,
    remedy: "choose a path in an existing folder that you may write to; nothing was written",
  });
}

/** A command would destroy what it reads, or one of its results. */
export function writesItsInput(name: string, path: string, input: string): MtacError {
  return new MtacError(
    "MTA930",
    "usage",
    `${name} ${path} is the same file as ${input}: nothing was written`,
    {
      remedy: `choose another file for ${name}`,
    },
  );
}

/** Two inputs of one command would be written into one file. */
export function writtenTwice(path: string, first: string, second: string): MtacError {
  return new MtacError(
    "MTA930",
    "usage",
    `${path} would hold what ${first} and ${second} compile to: nothing was written`,
    {
      remedy:
        "rename an attention or a stack in one of them, or compile each with `--out` into a folder of its own",
    },
  );
}

export function readOnlyFile(path: string): MtacError {
  return new MtacError("MTA906", "input", `cannot write ${path}: the file is read-only`, {
    remedy: "make it writable (`chmod u+w`), or choose another path; nothing was written",
  });
}
