import { linkSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { systemCode } from "../../runtime/contract/system-reason.ts";
import { lockedStore, lostLock } from "./errors.ts";
import {
  describeHolder,
  formatHolder,
  type Holder,
  hasEnded,
  isBeingRemoved,
  newHolder,
  readHolder,
} from "./lock-holder.ts";

/** A lock that is held: others may have taken it over if this process was stopped for long. */
export interface HeldLock {
  /** @throws MtacError MTA873 when it was taken over. */
  check(): void;
}

/** How long to wait for a lock, in milliseconds. It is held for as long as a line takes to write, or a store to rewrite. */
const WAIT_MS = 30_000;
/** After this time without any change, a holder is given up whose process cannot be seen from here. */
const UNSEEN_MS = 10_000;
const RETRY_MS = 8;
/** Files of killed processes that are in nobody's way are removed when they are this old. */
const LEFTOVER_MS = 3_600_000;

/**
 * Runs an action while no other process runs one under the same lock, which is a file that names its holder. The lock of a
 * process that was killed is taken over at once; waiting for one that lives has an end.
 *
 * @throws MtacError MTA872 when the lock stays held; errors of the file system as they are; those of the action.
 */
export function withLock<T>(lock: string, action: (held: HeldLock) => T, waitMs = WAIT_MS): T {
  const mine = newHolder();
  acquire(lock, mine, performance.now() + waitMs, waitMs);
  try {
    return action({
      check: () => {
        if (readHolder(lock)?.token !== mine.token) throw lostLock(lock);
      },
    });
  } finally {
    release(lock, mine);
  }
}

function acquire(lock: string, mine: Holder, deadline: number, waitMs: number): void {
  // Written beside and linked: the lock appears together with its holder's name, so that no kill leaves a nameless one.
  const beside = `${lock}.${mine.token}.new`;
  const firstSeen = new Map<string, number>();
  try {
    writeFileSync(beside, formatHolder(mine), { flag: "wx" });
    while (!create(lock, beside, mine)) {
      const seen = readHolder(lock);
      const now = performance.now();
      if (seen !== null) {
        const since = firstSeen.get(seen.token) ?? now;
        firstSeen.set(seen.token, since);
        if (hasEnded(seen) ?? now - since > UNSEEN_MS) {
          removeAbandoned(lock, seen, deadline, waitMs);
          continue;
        }
      }
      if (now > deadline)
        throw lockedStore(lock, seen === null ? "one process after another" : describeHolder(seen), waitMs);
      sleep(1 + Math.random() * RETRY_MS);
    }
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Whether the lock was free; it is then held. */
function create(lock: string, beside: string, mine: Holder): boolean {
  try {
    linkSync(beside, lock);
    return true;
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (code === "EEXIST") return false;
    if (isBeingRemoved(code)) return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(code)) throw error;
  }
  // A file system without links.
  try {
    writeFileSync(lock, formatHolder(mine), { flag: "wx" });
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Removes the lock of a holder that has ended. Two processes may have seen it at once, and the slower one must not remove
 * what the faster one has put in its place: removing it has a lock of its own, named after the holder. While that is
 * held, and the lock still is that holder's, nobody else may remove it.
 */
function removeAbandoned(lock: string, seen: Holder, deadline: number, waitMs: number): void {
  const guard = join(dirname(lock), `${lockStem(lock)}.${seen.token}`);
  const mine = newHolder();
  acquire(guard, mine, deadline, waitMs);
  try {
    if (readHolder(lock)?.token === seen.token) unlinkSync(lock);
    removeLeftovers(lock);
  } finally {
    release(guard, mine);
  }
}

/** `store.lock` of `store.lock` and of `store.lock.<token>`: guards of guards have no longer names. */
function lockStem(lock: string): string {
  return basename(lock).replace(/(\.lock)\..*$/, "$1");
}

function release(lock: string, mine: Holder): void {
  if (readHolder(lock)?.token === mine.token) rmSync(lock, { force: true });
}

function removeLeftovers(lock: string): void {
  const prefix = `${lockStem(lock)}.`;
  for (const name of readdirSync(dirname(lock))) {
    if (!name.startsWith(prefix)) continue;
    try {
      const path = join(dirname(lock), name);
      if (Date.now() - statSync(path).mtimeMs > LEFTOVER_MS) unlinkSync(path);
    } catch {
      // Removed by somebody else, or somebody else's.
    }
  }
}

/** Blocks: what waits for a lock has nothing else to do, and must not be interrupted by what else the program does. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
