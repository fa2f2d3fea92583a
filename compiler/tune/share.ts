import type { Shard } from "./candidates.ts";
import { unclearShare } from "./errors.ts";

/** Which part of a sweep a process measures, and who said so. */
export interface Share extends Shard {
  /** For people: `--shard`, or what a scheduler's variables say. */
  readonly from: string;
}

/** What flags say of shares. */
interface ShareFlags {
  /** `--shard` */
  readonly shard?: Shard;
  /** `--shards`: how many shares there are, where a scheduler tells the index alone. */
  readonly shards?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The part of a sweep that this process measures: `--shard`, else that of a task of a Slurm job array, or of a pod of an Indexed Job of Kubernetes;
 * null where neither is there, and the sweep is one's own as a whole.
 *
 * Slurm numbers tasks from `SLURM_ARRAY_TASK_MIN` in steps of `SLURM_ARRAY_TASK_STEP` (https://slurm.schedmd.com/job_array.html). Kubernetes gives
 * pods `JOB_COMPLETION_INDEX`, from 0, and no count (https://kubernetes.io/docs/tasks/job/indexed-parallel-processing-static): manifests repeat their
 * `completions` as `JOB_COMPLETIONS`, or `--shards` says it.
 *
 * @throws MtacError MTA875: what is there makes no share
 */
export function shareOf({ shard, shards }: ShareFlags, environment: Environment): Share | null {
  if (shard !== undefined) {
    if (shards !== undefined && shards !== shard.count)
      throw unclearShare(`\`--shard\` says ${shard.count} shares, \`--shards\` says ${shards}`);
    return { ...shard, from: "`--shard`" };
  }
  const found = [slurmShare(environment), kubernetesShare(environment, shards)].filter(
    (each) => each !== null,
  );
  const [share] = found;
  if (found.length > 1)
    throw unclearShare("there are variables of a Slurm job array and of an Indexed Job of Kubernetes");
  if (share === undefined) {
    if (shards === undefined) return null;
    throw unclearShare(`\`--shards ${shards}\` is given, and no scheduler says which of them this is`);
  }
  if (shards !== undefined && shards !== share.count)
    throw unclearShare(`\`--shards\` says ${shards} shares, ${share.from} says ${share.count}`);
  return share;
}

function slurmShare(environment: Environment): Share | null {
  const [id, count, min, step] = [
    numberOf(environment, "SLURM_ARRAY_TASK_ID"),
    numberOf(environment, "SLURM_ARRAY_TASK_COUNT"),
    numberOf(environment, "SLURM_ARRAY_TASK_MIN"),
    numberOf(environment, "SLURM_ARRAY_TASK_STEP"),
  ];
  const all = [id, count, min, step];
  if (all.every(({ value }) => value === null)) return null;
  const from = said(all);
  if (id.value === null || count.value === null || min.value === null) throw halfSet([id, count, min], from);
  const distance = step.value ?? 1;
  const place = (id.value - min.value) / distance;
  // A list, `--array=1,3,7`, does not say which of its numbers a task is.
  if (distance < 1 || !Number.isInteger(place) || place < 0 || place >= count.value)
    throw unclearShare(
      `${from}: a task's place follows only from numbers at equal distances, as \`--array=0-${Math.max(0, count.value - 1)}\` gives them`,
    );
  return { index: place + 1, count: count.value, from };
}

function kubernetesShare(environment: Environment, shards: number | undefined): Share | null {
  const index = numberOf(environment, "JOB_COMPLETION_INDEX");
  const set = numberOf(environment, "JOB_COMPLETIONS");
  if (index.value === null && set.value === null) return null;
  const completions = set.value === null && shards !== undefined ? { name: "--shards", value: shards } : set;
  const from = said([index, completions]);
  if (index.value === null || completions.value === null) throw halfSet([index, completions], from);
  if (index.value >= completions.value)
    throw unclearShare(`${from}: indices begin at 0, and end before their number`);
  return { index: index.value + 1, count: completions.value, from };
}

/** A variable, and its value; null where it is not set. */
interface Variable {
  readonly name: string;
  readonly value: number | null;
}

function numberOf(environment: Environment, name: string): Variable {
  const text = environment[name]?.trim() ?? "";
  if (text === "") return { name, value: null };
  if (!/^\d{1,9}$/.test(text)) throw unclearShare(`${name} is ${JSON.stringify(text)}, no whole number`);
  return { name, value: Number(text) };
}

/** `JOB_COMPLETION_INDEX=2, JOB_COMPLETIONS=8` */
function said(variables: readonly Variable[]): string {
  return variables.flatMap(({ name, value }) => (value === null ? [] : [`${name}=${value}`])).join(", ");
}

function halfSet(needed: readonly Variable[], from: string): Error {
  const missing = needed.filter(({ value }) => value === null).map(({ name }) => name);
  return unclearShare(`${from}, and ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not set`);
}
