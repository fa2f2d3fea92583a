import type { Settings } from "./state/settings.ts";
import type {
  AnalysisReply,
  AttentionSummary,
  CompileReply,
  CompilerMethods,
  NumericMethods,
} from "./worker/protocol.ts";
import { CancelledError, type Problem, problemOf, WorkerClient } from "./worker/rpc.ts";

/** What the page does when the compiler has answered. */
export interface SessionEvents {
  /** The present text was read. */
  readonly analysed: (reply: AnalysisReply) => void;
  readonly compiled: (reply: CompileReply, attention: AttentionSummary) => void;
  readonly failed: (problem: Problem) => void;
  readonly settingsChanged: (settings: Settings) => void;
}

/** A rest in typing after which the text is read. */
const REST_MS = 120;

/** What the planner may still take for a spec that has changed meanwhile: some of many stages keep it busy for minutes. */
const OUTDATED_MS = 3000;

/**
 * The settings, and the workers that answer to them. Reading and compiling have a worker each, so that neither completion nor
 * diagnostics wait for the planner; of several changes made meanwhile only the last is answered.
 */
export class Session {
  readonly language = new WorkerClient<CompilerMethods>(startCompiler);
  readonly compiler = new WorkerClient<CompilerMethods>(startCompiler);
  /** Stopped when a run is cancelled. */
  readonly numeric = new WorkerClient<NumericMethods>(startNumeric);
  /** Another, so that maps can be seen while something runs. */
  readonly maps = new WorkerClient<NumericMethods>(startNumeric);
  readonly #events: SessionEvents;
  readonly #analyse = latestOnly(() => this.#analyseOnce());
  readonly #compile = latestOnly(() => this.#compileOnce());
  #settings: Settings;
  #analysis: AnalysisReply | null = null;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #compiling = false;
  /** Runs while something is compiled that nobody waits for any more. */
  #outdated: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: Settings, events: SessionEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** The attention that is shown; null where the spec has errors, or none. */
  get attention(): AttentionSummary | null {
    const attentions = this.#analysis?.attentions ?? [];
    return attentions.find(({ name }) => name === this.#settings.attention) ?? attentions[0] ?? null;
  }

  /** Takes settings; the spec is read after a rest, anything else at once. */
  change(next: Partial<Settings>): void {
    const before = this.#settings;
    this.#settings = { ...before, ...next };
    this.#events.settingsChanged(this.#settings);
    if (this.#settings.spec !== before.spec) {
      clearTimeout(this.#rest);
      this.#rest = setTimeout(this.#analyse, REST_MS);
    } else if (concernsCompiler(before, this.#settings)) this.#compile();
    else return;
    if (this.#compiling) this.#outdated ??= setTimeout(() => this.compiler.cancel(), OUTDATED_MS);
  }

  /** Reads and compiles what there is, without a rest. */
  refresh(): void {
    clearTimeout(this.#rest);
    this.#analyse();
  }

  async #analyseOnce(): Promise<void> {
    const { spec } = this.#settings;
    try {
      const reply = await this.language.call("analyse", spec);
      if (spec !== this.#settings.spec) return;
      this.#analysis = reply;
      this.#events.analysed(reply);
      if (reply.sound) this.#compile();
    } catch (error) {
      this.#events.failed(problemOf(error));
    }
  }

  async #compileOnce(): Promise<void> {
    const { attention } = this;
    const { spec, length, architecture, schedule } = this.#settings;
    if (attention === null || this.#analysis?.sound !== true) return;
    const request = { text: spec, attention: attention.name, length, architecture, schedule };
    this.#compiling = true;
    try {
      const reply = await this.compiler.call("compile", request);
      if (spec === this.#settings.spec) this.#events.compiled(reply, attention);
    } catch (error) {
      if (error instanceof CancelledError) return;
      if (spec === this.#settings.spec) this.#events.failed(problemOf(error));
    } finally {
      this.#compiling = false;
      clearTimeout(this.#outdated);
      this.#outdated = undefined;
    }
  }
}

function concernsCompiler(before: Settings, after: Settings): boolean {
  return (["attention", "length", "architecture", "schedule"] as const).some(
    (name) => before[name] !== after[name],
  );
}

/** Runs work when asked; asked while it runs, once more after it. */
function latestOnly(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await work();
    }
    running = false;
  };
}

function startCompiler(): Worker {
  return new Worker(new URL("./worker/compiler.worker.ts", import.meta.url), { type: "module" });
}

function startNumeric(): Worker {
  return new Worker(new URL("./worker/numeric.worker.ts", import.meta.url), { type: "module" });
}
