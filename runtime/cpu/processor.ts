import { cpus } from "node:os";

/** The processor's model as the system names it, for example `AMD EPYC 9R14`; empty where it does not say. */
export function processorModel(): string {
  // No characters that break lines, or part the identities of devices.
  const words = (cpus()[0]?.model ?? "")
    .replace(/[^\x21-\x7e]|\|/g, " ")
    .trim()
    .split(/ +/);
  return words[0] === "unknown" ? "" : words.join(" ");
}
