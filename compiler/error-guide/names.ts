import type { DiagnosticCode } from "../language/index.ts";
import type { Advice } from "./advice.ts";

type Names = Extract<DiagnosticCode, `MTA2${string}`>;

/** Names, and what may stand where. */
export const NAME_ADVICE: Readonly<Record<Names, Advice>> = {
  MTA201: {
    cause: "Two declarations of a file have one name; constants, attentions and stacks share their names.",
    remedy: "Rename one of them.",
  },
  MTA202: {
    cause: "Two names differ only in underscores, and would become the same name in TypeScript.",
    remedy: "Rename one, so that they differ in letters or digits.",
  },
  MTA203: {
    cause: "`extends` names no attention of this file.",
    remedy: "Name one of those that the message lists, or declare it in the same file.",
  },
  MTA204: {
    cause: "An attention extends itself, at once or through others.",
    remedy: "Let one of them stand on its own.",
  },
  MTA205: {
    cause: "An expression names a constant that the file does not declare.",
    remedy: "Declare it with `const name = value`, or correct its name.",
  },
  MTA206: {
    cause: "Constants are computed from each other in a circle.",
    remedy: "Give one of them a number.",
  },
  MTA207: {
    cause:
      "The name belongs to another kind of declaration: a constant where an attention is needed, for example.",
    remedy: "Name one of the right kind.",
  },
  MTA208: {
    cause: "`use` or `tune` names no attention of this file.",
    remedy: "Name one that the file declares.",
  },
  MTA210: {
    cause: "A property stands twice in one declaration.",
    remedy: "Keep one; which of them would hold is nowhere said.",
  },
  MTA211: {
    cause: "A section stands twice in an attention.",
    remedy: "Put all its stages into one, in the order in which they are computed.",
  },
  MTA212: { cause: "A modifier stands twice on one stage.", remedy: "Keep one of them." },
  MTA213: {
    cause: "An attention has no `heads` or no `head_dim`, neither its own nor from its base.",
    remedy: "Add it: everything else has a default.",
  },
  MTA214: {
    cause:
      "The stage cannot be computed in this place: `norm` and `gate` act on the output, `softcap` on scores.",
    remedy: "Move it to the section that the message names.",
  },
  MTA215: {
    cause: "The modifier belongs to another stage.",
    remedy: "Remove it, or move it to the stage that has it; the message lists both.",
  },
  MTA216: { cause: "`softcap`, `norm` or `gate` stands twice in its section.", remedy: "Keep one of them." },
  MTA217: {
    cause:
      "Two stages of a section would have the same name, so that their parameters could not be told apart.",
    remedy: "Give each a label of its own with `as`.",
  },
  MTA218: {
    cause: "A mask term stands twice.",
    remedy: "Keep one: terms hold together, and none holds more often than once.",
  },
  MTA219: {
    cause: "`mask none` says that everything is visible, and another term says otherwise.",
    remedy: "Write `mask none` alone, or leave `none` out.",
  },
  MTA220: {
    cause: "Two `tune` declarations are for the same attention.",
    remedy: "Put everything into one.",
  },
  MTA230: {
    cause: "`norm depth_scale` depends on the layer's number, and no layer was given.",
    remedy: "Give it with `--layer`, or take the attention from a `stack`, which knows its layers.",
  },
  MTA231: {
    cause: "A builder function was called with a value of another type, which TypeScript would have refused.",
    remedy: "Let TypeScript check the spec; the message names the argument.",
  },
};
