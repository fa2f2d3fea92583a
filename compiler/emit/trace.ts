/** From the lines of an emitted kernel back to the lines of the spec. */
export interface KernelTrace {
  /** The spec's file as the kernel's first line names it. */
  readonly file: string;
  /** For each line of the kernel, from the first, the spec's line that it comes from, counted from 1. */
  readonly lines: readonly number[];
}

/** A kernel's first line: `// mta_830m: scores_conv (mta_830m.mta:10)`; CUDA, all kernels in one file: `// mta_830m (mta_830m.mta:4): …`. */
const TITLE = /^\/\/ \w+(?:: \w+)? \((.+):(\d+)\)/;

/** `    // scores.conv (line 10), conv 6x11 …`: code of a stage follows, up to the next comment as far to the left. */
const STAGE_COMMENT = /^( *)\/\/\/? (\w+\.\w+) \(line (\d+)\)/;

/** A function of WGSL or CUDA that begins here. */
const FUNCTION = /^\w[\w* ]* (\w+)\(/;

/** Code of one stage: its line, and how far its comment is indented. */
interface Region {
  readonly line: number;
  readonly indent: number;
}

/**
 * The spec line of each line of an emitted kernel. Code that belongs to a stage comes from the stage's line; all else from the line
 * that the kernel's head names: its stage, or its attention where several stages are one kernel.
 *
 * @param kernelText WGSL or CUDA as mtac emits it.
 * @returns null for a kernel whose head names no spec file.
 */
export function specLines(kernelText: string): KernelTrace | null {
  const text = kernelText.split("\n");
  const title = TITLE.exec(text[0] ?? "");
  const [, file, number] = title ?? [];
  if (file === undefined || number === undefined) return null;
  const kernelLine = Number(number);
  const stages = stageLines(text);
  let region: Region | null = null;
  let functionLine: number | null = null;
  const lines = text.map((line, index): number => {
    region = regionAt(line, text[index - 1] ?? "", region);
    const name = FUNCTION.exec(line)?.[1];
    if (name !== undefined) functionLine = stageOfFunction(name, stages);
    const own = region?.line ?? functionLine ?? kernelLine;
    if (line === "}") functionLine = null;
    return own;
  });
  return { file, lines };
}

/** The line of each stage that the kernel's comments name, by the stage's name in functions. */
function stageLines(text: readonly string[]): ReadonlyMap<string, number> {
  const stages = new Map<string, number>();
  for (const line of text) {
    const [, , name, number] = STAGE_COMMENT.exec(line) ?? [];
    if (name !== undefined && number !== undefined) stages.set(name.replaceAll(".", "_"), Number(number));
  }
  return stages;
}

function regionAt(line: string, before: string, region: Region | null): Region | null {
  const [, spaces, , number] = STAGE_COMMENT.exec(line) ?? [];
  if (spaces !== undefined && number !== undefined) return { line: Number(number), indent: spaces.length };
  // Preprocessor lines stand at the margin wherever they are.
  if (region === null || line.trim() === "" || line.startsWith("#")) return region;
  const indent = line.length - line.trimStart().length;
  const closes = indent < region.indent || (indent === 0 && line === "}");
  // A comment may have several lines.
  const otherSubject = indent === region.indent && isComment(line) && !isComment(before);
  return closes || otherSubject ? null : region;
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith("//");
}

/** `finish_scores_conv` and `scores_conv_kernel` belong to `scores_conv`. */
function stageOfFunction(name: string, stages: ReadonlyMap<string, number>): number | null {
  return stages.get(name.replace(/^finish_/, "").replace(/_kernel$/, "")) ?? null;
}
