/** Calls between the page and its workers: each has a number, each gets one answer, and may tell of its progress before. */

/** What a method takes and gives; both are copied from one thread to the other. */
export interface Method {
  readonly params: unknown;
  readonly result: unknown;
  /** What it says while it works. */
  readonly progress?: unknown;
}

/** An error as it crosses from a worker: the class is lost, what it says is not. */
export interface Problem {
  /** `MTA…`, or null for an error that mtac does not know. */
  readonly code: string | null;
  readonly message: string;
  readonly remedy: string | null;
}

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

type Answer =
  | { readonly id: number; readonly kind: "progress"; readonly value: unknown }
  | { readonly id: number; readonly kind: "result"; readonly value: unknown }
  | { readonly id: number; readonly kind: "problem"; readonly value: Problem };

/** The methods of a worker. */
export type Handlers<Methods extends Record<keyof Methods, Method>> = {
  readonly [Name in keyof Methods]: (
    params: Methods[Name]["params"],
    progress: (value: Methods[Name]["progress"]) => void,
  ) => Methods[Name]["result"] | Promise<Methods[Name]["result"]>;
};

/** Serves the page's calls; to be called once, in a worker. */
export function serve<Methods extends Record<keyof Methods, Method>>(handlers: Handlers<Methods>): void {
  const answer = (message: Answer): void => self.postMessage(message);
  self.addEventListener("message", async (event: MessageEvent) => {
    const { id, params }: Call = event.data;
    const method: keyof Methods = event.data.method;
    try {
      const value = await handlers[method](params, (progress) =>
        answer({ id, kind: "progress", value: progress }),
      );
      answer({ id, kind: "result", value });
    } catch (error) {
      answer({ id, kind: "problem", value: problemOf(error) });
    }
  });
}

/** What an error says, whatever its class. */
export function problemOf(error: unknown): Problem {
  if (error instanceof CallError) return error.problem;
  if (!(error instanceof Error)) return { code: null, message: String(error), remedy: null };
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  const remedy = "remedy" in error && typeof error.remedy === "string" ? error.remedy : null;
  return { code, message: error.message, remedy };
}

/** A call that failed in its worker. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** A call that was given up: the worker that had it was stopped. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
}

interface Waiting {
  readonly take: (event: MessageEvent) => void;
  readonly reject: (error: Error) => void;
}

/** The page's end of a worker, which is started when it is first called. */
export class WorkerClient<Methods extends Record<keyof Methods, Method>> {
  readonly #start: () => Worker;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #next = 0;

  constructor(start: () => Worker) {
    this.#start = start;
  }

  /**
   * Calls a method.
   * @throws CallError when the method fails, CancelledError when the worker is stopped meanwhile
   */
  call<Name extends keyof Methods & string>(
    method: Name,
    params: Methods[Name]["params"],
    progress?: (value: Methods[Name]["progress"]) => void,
  ): Promise<Methods[Name]["result"]> {
    const worker = this.#running();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const take = ({ data }: MessageEvent): void => {
        if (data.kind === "progress") {
          progress?.(data.value);
          return;
        }
        this.#waiting.delete(id);
        if (data.kind === "result") resolve(data.value);
        else reject(new CallError(data.value));
      };
      this.#waiting.set(id, { take, reject });
      worker.postMessage({ id, method, params } satisfies Call);
    });
  }

  /** Stops the worker in the middle of whatever it does; the next call starts another. */
  cancel(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#rejectAll(new CancelledError("cancelled"));
  }

  #running(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = this.#start();
    worker.addEventListener("message", (event) => this.#waiting.get(event.data.id)?.take(event));
    worker.addEventListener("error", (event) => {
      worker.terminate();
      if (this.#worker === worker) this.#worker = null;
      this.#rejectAll(
        new CallError({ code: null, message: event.message || "the worker did not start", remedy: null }),
      );
    });
    this.#worker = worker;
    return worker;
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
