import { loadGradientSources } from "./c/library-source.ts";
import { loadGradientTemplates } from "./template-library.ts";

/** Brings what emitting gradients for any target takes: builds leave it out of what pages load first. */
export async function loadGradients(): Promise<void> {
  await loadGradientTemplates();
  await loadGradientSources();
}
