import { sameFile } from "./destination.ts";
import { writesItsInput } from "./errors.ts";

/** A file with what it is to a command, such as `--inputs` or "the spec"; no path where the option is not given. */
export interface NamedFile {
  readonly name: string;
  readonly path: string | undefined;
}

/**
 * Refuses to write what is read, and two results into one file, before anything is computed. Symbolic and hard links count.
 * @throws MtacError MTA930
 */
export function refuseOverlap(outputs: readonly NamedFile[], inputs: readonly NamedFile[]): void {
  const given = (files: readonly NamedFile[]) =>
    files.flatMap(({ name, path }) => (path === undefined ? [] : [{ name, path }]));
  const written = given(outputs);
  for (const [index, output] of written.entries())
    for (const other of [...given(inputs), ...written.slice(0, index)])
      if (sameFile(output.path, other.path)) throw writesItsInput(output.name, output.path, other.name);
}
