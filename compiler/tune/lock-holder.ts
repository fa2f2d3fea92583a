import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync, statSync } from "node:fs";
import os from "node:os";
import { systemCode } from "../../runtime/contract/system-reason.ts";

/** Who holds a lock, as its file says. */
export interface Holder {
  /** Unique to this one holding. */
  readonly token: string;
  /** null where the file does not say: its writer was killed in between. */
  readonly pid: number | null;
  /** The machine and what of it shares process numbers; null where the file does not say. */
  readonly where: string | null;
  /** When the process began, in the system's own words; null where the system does not tell. */
  readonly started: string | null;
}

const HERE = whereAmI();
const STARTED = processStatus(process.pid)?.started ?? null;

export function newHolder(): Holder {
  return { token: randomUUID(), pid: process.pid, where: HERE, started: STARTED };
}

/** The holder of a lock; null where nobody holds it. */
export function readHolder(lock: string): Holder | null {
  try {
    const identity = statSync(lock, { bigint: true });
    const unknown = {
      token: `${identity.ino}-${identity.mtimeNs}`,
      pid: null,
      where: null,
      started: null,
    };
    return parseHolder(readFileSync(lock, "utf8")) ?? unknown;
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (code === "ENOENT" || isBeingRemoved(code)) return null;
    throw error;
  }
}

/** What Windows says of a file that is just being removed. */
export function isBeingRemoved(code: string): boolean {
  return process.platform === "win32" && ["EPERM", "EACCES", "EBUSY"].includes(code);
}

function parseHolder(text: string): Holder | null {
  const [token, pid, where, started] = text.split("\n");
  if (token === undefined || pid === undefined || where === undefined || started === undefined) return null;
  if (!/^[0-9a-f-]{36}$/.test(token) || !/^\d+$/.test(pid)) return null;
  return { token, pid: Number(pid), where, started: started === "" ? null : started };
}

/** What a lock's file holds; the last line end tells that it is whole. */
export function formatHolder({ token, pid, where, started }: Holder): string {
  return `${token}\n${pid}\n${where}\n${started ?? ""}\n`;
}

export function describeHolder({ pid, where }: Holder): string {
  if (pid === null) return "an unknown process";
  return where === HERE ? `process ${pid}` : `process ${pid} of ${where?.split(" ")[0] ?? "another machine"}`;
}

/** Whether a holder's process has ended: null where that cannot be known from here. */
export function hasEnded({ pid, where, started }: Holder): boolean | null {
  if (pid === null || where !== HERE) return null;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is such a process, but it is another user's.
    return systemCode(error) === "ESRCH";
  }
  const status = processStatus(pid);
  if (status === null) return false;
  // A killed process keeps its number until its parent takes notice; later, another process may get it.
  return status.dead || (started !== null && status.started !== started);
}

/** Linux only: null elsewhere. */
function processStatus(pid: number): { readonly dead: boolean; readonly started: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // "pid (name) state …": the name may hold blanks and brackets. proc(5): the start time is field 22.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = ""] = fields;
    return { dead: ["Z", "X", "x"].includes(state), started: fields[19] ?? "" };
  } catch {
    return null;
  }
}

/** Process numbers mean something only on one machine, since its last start, in one container. */
function whereAmI(): string {
  const parts = [os.hostname().replaceAll(/\s/g, "-")];
  try {
    parts.push(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    parts.push(readlinkSync("/proc/self/ns/pid"));
  } catch {
    // Not Linux: the name has to do.
  }
  return parts.join(" ");
}
