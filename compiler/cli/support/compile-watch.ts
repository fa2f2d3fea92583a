import { type FSWatcher, watch } from "node:fs";
import { basename, dirname, resolve } from "node:path";

/** How long files must rest: editors write in several steps. */
const REST_MS = 50;

/**
 * Calls `changed` whenever one of the files was written, made or removed. Editors replace files rather than write into them, so
 * that their folders are watched. Ends with the watchers' being closed.
 */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  const byFolder = new Map<string, Set<string>>();
  for (const file of files) {
    const folder = dirname(resolve(file));
    byFolder.set(folder, (byFolder.get(folder) ?? new Set()).add(basename(file)));
  }
  let resting: NodeJS.Timeout | undefined;
  const watchers = [...byFolder].map(
    ([folder, names]): FSWatcher =>
      watch(folder, (_event, name) => {
        // Some systems do not say which file it was.
        if (name !== null && !names.has(name)) return;
        clearTimeout(resting);
        resting = setTimeout(changed, REST_MS);
      }),
  );
  return () => {
    clearTimeout(resting);
    for (const watcher of watchers) watcher.close();
  };
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
  let close = watchFiles(watched, note);
  for (;;) {
    if (!changed)
      await new Promise<void>((resume) => {
        wake = resume;
      });
    changed = false;
    const next = await job();
    if (next.join("\n") === watched.join("\n")) continue;
    close();
    watched = next;
    close = watchFiles(watched, note);
    // What changed before these were watched would go unseen.
    changed = true;
  }
}
