import { rendererOf } from "../renderer.ts";
import type { LauncherFlavour } from "./flavour.ts";
import type { attentionModel, stackModel } from "./models.ts";
import type { EmittedNames } from "./names.ts";
import { openTemplates } from "./template-library.ts";

type AttentionModel = ReturnType<typeof attentionModel>;
type StackModel = ReturnType<typeof stackModel>;

/** What each launcher's template is filled with, by its path in the package's folder `templates`. */
export interface Templates {
  readonly "launcher/attention.hbs": AttentionModel & { readonly header: string };
  readonly "launcher/stack.hbs": StackModel & {
    readonly header: string;
    readonly types: string;
    readonly modules: readonly { readonly names: EmittedNames; readonly file: string }[];
  };
  readonly "launcher/declarations.hbs": {
    readonly header: string;
    readonly types: string;
    readonly flavour: LauncherFlavour;
    readonly grad: boolean;
    /** Whether any attention has parameters. */
    readonly tensors: boolean;
    readonly attentions: readonly AttentionModel[];
    readonly stacks: readonly StackModel[];
    readonly only: EmittedNames | null;
  };
}

/** Fills a launcher's template in; as `render` of kernels does. */
export const render = rendererOf<Templates>(openTemplates);
