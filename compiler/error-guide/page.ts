import { ERROR_GUIDE, type GuideEntry } from "./index.ts";

const PROLOGUE = `# Errors

Every message of mtac has a stable code, \`MTA\` and three digits, and says where and what to do; a code is never used for another meaning. This page
lists them all; \`mtac explain MTA305\` prints one of its entries. Programs find the code in \`error.code\`, the remedy in \`error.remedy\`, with \`--json\` in the
output. Exit codes of the command: 0 fine, 1 the spec or the input is wrong, 2 wrong usage, 3 the device or driver failed.
`;

/** \`docs/errors.md\`: the guide as a page, where each code is a heading that can be linked to. */
export function errorPage(): string {
  const sections = ERROR_GUIDE.map(({ title, entries }) => {
    const codes = Object.entries(entries).sort(([a], [b]) => a.localeCompare(b));
    return `## ${title}\n\n${codes.map(([code, entry]) => describe(code, entry)).join("\n")}`;
  });
  return `<!-- Made by \`npm run docs:errors\` from compiler/error-guide. -->\n\n${[PROLOGUE, ...sections].join("\n")}`;
}

function describe(code: string, { meaning, cause, remedy }: GuideEntry): string {
  return `### ${code}\n\n**${capital(meaning)}.** ${cause} *Remedy:* ${remedy}\n`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
