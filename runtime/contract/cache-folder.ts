import os from "node:os";
import path from "node:path";

/** `$XDG_CACHE_HOME/mtac` or `~/.cache/mtac` (XDG Base Directory Specification; relative values are ignored). */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: base } = process.env;
  return path.join(
    base !== undefined && path.isAbsolute(base) ? base : path.join(os.homedir(), ".cache"),
    "mtac",
  );
}
