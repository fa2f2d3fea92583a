import { existsSync, type FSWatcher, watch } from "node:fs";
import { basename, dirname, resolve } from "node:path";

/** How long files must rest: editors write in several steps. */
const REST_MS = 50;

/**
 * Calls `changed` whenever one of the files was written, made or removed. Editors replace files rather than write into them, so
 * that their folders are watched; where a folder is missing, the nearest one above it, in which it may appear. Ends with the watchers'
 * being closed.
 */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const byFolder = new Map<string, Set<string>>();
  for (const file of files) {
    const { folder, name } = watchablePlace(resolve(file));
    byFolder.set(folder, (byFolder.get(folder) ?? new Set()).add(name));
  }
  let resting: NodeJS.Timeout | undefined;
  const rest = (): void => {
    clearTimeout(resting);
    resting = setTimeout(changed, REST_MS);
  };
  const watchers = [...byFolder].flatMap(([folder, names]) => {
    // A folder that is removed tells of itself.
    names.add(basename(folder));
    const watcher = watchFolder(folder, (name) => {
      // Some systems do not say which file it was.
      if (name === null || names.has(name)) rest();
    });
    // On Windows, that is what removing it looks like.
    watcher?.on("error", rest);
    return watcher === null ? [] : [watcher];
  });
  return () => {
    clearTimeout(resting);
    for (const watcher of watchers) watcher.close();
  };
}

/** The nearest folder that exists, and what is to appear or change in it. */
function watchablePlace(file: string): { readonly folder: string; readonly name: string } {
  const folder = dirname(file);
  return existsSync(folder) || folder === file ? { folder, name: basename(file) } : watchablePlace(folder);
}

/** null for a folder that may not be read: nothing in it could be read either. */
function watchFolder(folder: string, event: (name: string | null) => void): FSWatcher | null {
  try {
    return watch(folder, (_kind, name) => event(name));
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM"))
      return null;
    throw error;
  }
}

/**
 * Runs `job` now and after each change of its files, one run at a time. `job` gives the files to watch from then on, which `files`
 * names for the first time. Never ends.
 */
export async function repeatOnChange(
  files: readonly string[],
  job: () => Promise<readonly string[]>,
): Promise<never> {
  let changed = true;
  let wake = (): void => {};
  const note = (): void => {
    changed = true;
    wake();
  };
  let watched = files;
  let close = (): void => {};
  for (;;) {
    if (!changed)
      await new Promise<void>((resume) => {
        wake = resume;
      });
    changed = false;
    // Each time: folders may have gone or come. Before the job, so that nothing changes unseen.
    close();
    close = watchFiles(watched, note);
    const next = await job();
    if (next.join("\n") === watched.join("\n")) continue;
    watched = next;
    // What changed before these were watched would go unseen.
    changed = true;
  }
}
