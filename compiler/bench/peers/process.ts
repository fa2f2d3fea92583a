import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { elementCount } from "../../../runtime/contract/index.ts";
import { type Answer, answerOf, millisecondsIn, textIn, valuesIn, within } from "./answers.ts";
import { messageOf, type Peer, PeerError, unavailable } from "./peer.ts";
import { openScratch, type Scratch } from "./staging.ts";

/** The last characters of what a process says on stderr: where it names its trouble. */
const KEPT_COMPLAINTS = 2000;

/** A process that answers each line of JSON with one. */
class PeerProcess {
  readonly #name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<void>;
  #complaints = "";
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | null = null;
  #end: PeerError | null = null;

  constructor(name: string, program: string, args: readonly string[]) {
    this.#name = name;
    this.#child = spawn(program, args, { stdio: "pipe", windowsHide: true });
    const { stdin, stdout, stderr } = this.#child;
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (cause) => {
        this.#finish(new PeerError("MTA941", `${program} cannot be started: ${cause.message}`, { cause }));
        resolve();
      });
      this.#child.once("close", (code, signal) => {
        const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
        this.#finish(new PeerError("MTA941", `${name} ended ${how}${this.#said()}`));
        resolve();
      });
    });
    // Writing to a process that is gone: its end tells more.
    stdin.on("error", () => undefined);
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-KEPT_COMPLAINTS);
    });
    createInterface({ input: stdout }).on("line", (line) => this.#take(line));
  }

  /**
   * Sends a request and gives its answer; one request at a time.
   * @throws PeerError MTA941: the process answers with an error, takes too long, or is gone.
   */
  async ask(request: object, patienceMs: number): Promise<Answer> {
    if (this.#end !== null) throw this.#end;
    if (this.#waiting !== null) throw new PeerError("MTA941", `${this.#name} is busy with another request`);
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    const answer = await within(patienceMs, this.#name, answered);
    const error = answer.get("error");
    if (error !== undefined) throw new PeerError("MTA941", `${this.#name}: ${error}`);
    return answer;
  }

  /** Ends the process, and waits until it is gone. */
  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #take(line: string): void {
    let answer: Answer | null;
    try {
      answer = answerOf(JSON.parse(line));
    } catch {
      // A library's own words.
      return;
    }
    if (answer === null) return;
    this.#waiting?.resolve(answer);
    this.#waiting = null;
  }

  #finish(error: PeerError): void {
    this.#end ??= error;
    this.#waiting?.reject(this.#end);
    this.#waiting = null;
  }

  #said(): string {
    const complaints = this.#complaints.trim();
    return complaints === "" ? "" : `:\n${complaints}`;
  }
}

/** A peer that runs in a process of its own. */
export interface ProcessPeerOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** What would make it open, where it does not. */
  readonly remedy: string;
  /** [B, H, Lq, Dv] */
  readonly outputShape: readonly number[];
  readonly patienceMs: number;
  /** Writes what the process is to read, and gives the rest of the request that opens the call. */
  stage(scratch: Scratch): Promise<object>;
}

/** @throws PeerError MTA940: the process does not start, or does not open the call. */
export async function openProcessPeer(options: ProcessPeerOptions): Promise<Peer> {
  const { name, program, args, remedy, patienceMs } = options;
  const scratch = await openScratch();
  let child: PeerProcess | null = null;
  try {
    child = new PeerProcess(name, program, args);
    const request = { command: "open", ...(await options.stage(scratch)) };
    const opened = await child.ask(request, patienceMs);
    return processPeer(options, child, scratch, opened);
  } catch (cause) {
    await child?.close();
    await scratch.remove();
    throw unavailable(messageOf(cause), remedy, cause);
  }
}

function processPeer(
  { name, outputShape, patienceMs }: ProcessPeerOptions,
  child: PeerProcess,
  scratch: Scratch,
  opened: Answer,
): Peer {
  return {
    name,
    version: textIn(opened, "version"),
    device: textIn(opened, "device"),
    async run() {
      const file = scratch.file("o.bin");
      await child.ask({ command: "run", file }, patienceMs);
      return valuesIn(name, await readFile(file), elementCount(outputShape));
    },
    async time(count) {
      const answer = await child.ask({ command: "time", count }, patienceMs * (count + 1));
      return millisecondsIn(answer, count);
    },
    async close() {
      await child.close();
      await scratch.remove();
    },
  };
}
