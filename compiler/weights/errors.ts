import { MtacError } from "../../runtime/contract/index.ts";

/** What is wrong with a state dict that is to become an attention's parameters (MTA945 … MTA949). */

export function badRenaming(problem: string, remedy: string): MtacError {
  return new MtacError("MTA945", "usage", problem, { remedy });
}

/** No place in the state dict holds the parameters, or several do. */
export function noSinglePrefix(problem: string, remedy: string): MtacError {
  return new MtacError("MTA946", "input", problem, { remedy });
}

export function missingWeights(file: string, missing: readonly string[], remedy: string): MtacError {
  return new MtacError("MTA947", "input", `${file} lacks ${listed(missing)}`, { remedy });
}

export function wrongShapes(file: string, faults: readonly string[]): MtacError {
  return new MtacError("MTA948", "input", `${file}: ${listed(faults)}`, {
    remedy: "change the stage in the spec to what the model has, or choose another tensor with `--map`",
  });
}

export function severalSources(file: string, parameter: string, names: readonly string[]): MtacError {
  return new MtacError(
    "MTA949",
    "input",
    `${file} has ${names.length} tensors for the parameter ${parameter}: ${names.join(", ")}`,
    { remedy: `choose one with \`--map ${names[0]}=${parameter}\`` },
  );
}

/** As many as people read. */
const SHOWN = 4;

function listed(items: readonly string[]): string {
  const more = items.length - SHOWN;
  return more > 0 ? `${items.slice(0, SHOWN).join("; ")}; and ${more} more` : items.join("; ");
}
