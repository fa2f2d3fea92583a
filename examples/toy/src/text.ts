// Texts of the toy task (arXiv 2504.00927, section 4.1) and their tokens, as examples/pytorch/toy/data.py has them.

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const SEPARATOR = 26;
const QUESTION = 27;
const BEGIN = 29;
const END = 30;

/** What the model was trained with. */
export const TASK = { blocks: 8, letters: 5, asked: 2 } as const;

export interface Sample {
  readonly blocks: readonly string[];
  /** Letters of one of the blocks. */
  readonly question: string;
  /** The blocks that hold them all. */
  readonly targets: readonly number[];
}

/** What is wrong with a text, for the visitor. */
export class TextError extends Error {}

/**
 * Reads `abcde.fghij#ca`: blocks, and what is asked for.
 * @throws TextError where the model could not answer
 */
export function parseSample(text: string): Sample {
  const [body = "", question, ...rest] = text.trim().toLowerCase().split("#");
  if (question === undefined || rest.length > 0)
    throw new TextError("One # stands between the blocks and the two letters that are asked for.");
  const blocks = body.split(".");
  if (blocks.length !== TASK.blocks)
    throw new TextError(`The model was trained with ${TASK.blocks} blocks: there are ${blocks.length}.`);
  const wrong = blocks.find((block) => block.length !== TASK.letters || distinct(block) !== block.length);
  if (wrong !== undefined)
    throw new TextError(`A block is ${TASK.letters} different letters: “${wrong}” is not.`);
  const strange = [...blocks.join(""), ...question].find((letter) => !LETTERS.includes(letter));
  if (strange !== undefined) throw new TextError(`The model knows the letters a to z: “${strange}” is none.`);
  if (question.length !== TASK.asked || distinct(question) !== TASK.asked)
    throw new TextError(`Ask for ${TASK.asked} different letters of one block.`);
  const targets = blocks.flatMap((block, index) => (holds(block, question) ? [index] : []));
  return { blocks, question, targets };
}

export function textOf({ blocks, question }: Pick<Sample, "blocks" | "question">): string {
  return `${blocks.join(".")}#${question}`;
}

/** Another sample: one block holds the letters that are asked for. */
export function drawSample(random: () => number = Math.random): string {
  for (;;) {
    const blocks = Array.from({ length: TASK.blocks }, () => draw(LETTERS, TASK.letters, random));
    const target = blocks[Math.floor(random() * TASK.blocks)] ?? "";
    const question = draw(target, TASK.asked, random);
    if (blocks.filter((block) => holds(block, question)).length === 1) return textOf({ blocks, question });
  }
}

/** Some of the letters, in any order. */
function draw(letters: string, count: number, random: () => number): string {
  const left = [...letters];
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0]).join("");
}

function holds(block: string, question: string): boolean {
  return [...question].every((letter) => block.includes(letter));
}

function distinct(text: string): number {
  return new Set(text).size;
}

/** The tokens of what the model reads. */
export function tokensOf(text: string): readonly number[] {
  return [BEGIN, ...Array.from(text, tokenOf)];
}

function tokenOf(letter: string): number {
  if (letter === ".") return SEPARATOR;
  return letter === "#" ? QUESTION : LETTERS.indexOf(letter);
}

/** How a token is shown. */
export function labelOf(token: number): string {
  const special: Readonly<Record<number, string>> = {
    [SEPARATOR]: ".",
    [QUESTION]: "#",
    [BEGIN]: "⊢",
    [END]: "⊣",
  };
  return LETTERS[token] ?? special[token] ?? "?";
}
