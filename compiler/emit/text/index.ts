import { type Emitted, layOut } from "./layout.ts";
import { parseText } from "./module.ts";
import { prune } from "./prune.ts";

export { markStage } from "./marks.ts";

/** What templates yielded, as users get it: without what nothing uses, indented, in lines that fit. */
export function finishText(rendered: string): Emitted {
  return layOut(prune(parseText(rendered)));
}

/** The same for text that other files use: nothing is left out. */
export function layOutText(rendered: string): string {
  return layOut(parseText(rendered)).text;
}
