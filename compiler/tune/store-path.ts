import path from "node:path";
import { cacheFolder } from "../../runtime/contract/cache-folder.ts";

/** The tuning store's file, whether it exists or not: the one named, or `mtac/tuning.jsonl` in the cache folder. */
export function storePath(file?: string): string {
  return file ?? path.join(cacheFolder(), "tuning.jsonl");
}
