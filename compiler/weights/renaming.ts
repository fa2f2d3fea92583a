import { nearestName } from "../../runtime/contract/index.ts";
import { badRenaming } from "./errors.ts";

/** What `--map from=to[:transpose]` says. */
export interface Renaming {
  /** A tensor of the state dict, with its prefix or without. `{layer}` stands for the layer's number. */
  readonly from: string;
  /** A parameter of the attention. */
  readonly to: string;
  /** Its last two axes change places. */
  readonly transpose: boolean;
}

const TRANSPOSE = ":transpose";

/** @throws MtacError MTA945 */
export function parseRenaming(text: string): Renaming {
  const [, from = "", rest = ""] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  const transpose = rest.endsWith(TRANSPOSE);
  const to = transpose ? rest.slice(0, -TRANSPOSE.length) : rest;
  if (from === "" || to === "" || to.includes(":"))
    throw badRenaming(
      `\`--map ${text}\` is not how tensors are mapped`,
      "write `--map from=to`, or `--map from=to:transpose` where the last two axes change places",
    );
  return { from, to, transpose };
}

/** Refuses renamings to what is no parameter. @throws MtacError MTA945 */
export function checkRenamings(renamings: readonly Renaming[], parameters: ReadonlySet<string>): void {
  for (const { to } of renamings) {
    if (parameters.has(to)) continue;
    const meant = nearestName(to, parameters);
    throw badRenaming(
      `\`--map\` names the parameter ${to}, which there is not`,
      meant === null ? `there are ${[...parameters].join(", ")}` : `did you mean ${meant}?`,
    );
  }
}
