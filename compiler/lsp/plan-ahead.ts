import { resolve } from "../ir/index.ts";
import type { Predictions } from "./predictions.ts";
import type { SpecDocument } from "./spec-document.ts";

/**
 * Plans a spec's attentions before anybody asks, so that a hover finds what it shows.
 * @param pause waits before each attention, and says whether to go on: not when the document has changed
 */
export async function planAhead(
  { analysis }: SpecDocument,
  predictions: Pick<Predictions, "of">,
  pause: () => Promise<boolean>,
): Promise<void> {
  for (const attention of analysis.sound.attentions) {
    if (!(await pause())) return;
    predictions.of(resolve(attention, ""));
  }
}
