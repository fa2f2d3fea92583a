/** Why the operating system refused something, in words. */
export function systemReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  switch (systemCode(cause)) {
    case "ENOENT":
      return "there is no such file or folder";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "it is a folder";
    case "ENOTDIR":
      return "a part of the path is not a folder";
    case "EROFS":
      return "the file system is read-only";
    case "ENOSPC":
      return "no space is left on the device";
    default:
      return cause.message;
  }
}

/** The code of an error of the operating system, such as `ENOENT`; undefined for other errors. */
export function systemCode(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}
