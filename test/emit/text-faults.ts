// What a reader would call careless in emitted kernels, found without the emitter's help: by the text alone.

/** A comment, a string, a name, a number, a character. */
const TOKEN = /\/\/.*|\/\*.*?\*\/|"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\.?\d[\w.]*|::|->|\S/g;

const WIDTH = 120;

interface CodeLine {
  readonly number: number;
  readonly text: string;
  readonly tokens: readonly string[];
}

/** Faults of a file, each with its line. */
export function textFaults(file: string, text: string): string[] {
  const lines = text.split("\n");
  const faults = lines.flatMap((line, index) =>
    lineFaults(line).map((fault) => `${file}:${index + 1}: ${fault}`),
  );
  if (!/\.(?:wgsl|cu)$/.test(file)) return faults;
  const code = codeOf(lines);
  for (const [number, fault] of [...indentFaults(code), ...unusedNames(code), ...unusedParameters(code)])
    faults.push(`${file}:${number}: ${fault}`);
  return faults;
}

function lineFaults(line: string): string[] {
  return [
    ...(line.length > WIDTH ? [`${line.length} columns`] : []),
    ...(line.includes("\t") ? ["a tab"] : []),
    ...(line !== line.trimEnd() ? ["spaces at its end"] : []),
  ];
}

/** Lines with their tokens, comments left out. */
function codeOf(lines: readonly string[]): CodeLine[] {
  return lines.map((text, index) => ({
    number: index + 1,
    text,
    tokens: (text.match(TOKEN) ?? []).filter((token) => !/^\/[/*]/.test(token)),
  }));
}

type Fault = readonly [line: number, fault: string];

/** Statements that begin a line stand two columns in for each brace around them, namespaces aside; directives at the margin. */
function indentFaults(lines: readonly CodeLine[]): Fault[] {
  const faults: Fault[] = [];
  const open: string[] = [];
  let depth = 0;
  let begins = true;
  for (const { number, text, tokens } of lines) {
    const [first] = tokens;
    if (first === undefined) continue;
    const indent = text.length - text.trimStart().length;
    if (first === "#") {
      if (indent > 0) faults.push([number, "a directive off the margin"]);
      continue;
    }
    const closing = first === "}" && open.at(-1) === "{" ? 1 : 0;
    const expected = 2 * (depth - closing);
    if (begins && indent !== expected) faults.push([number, `indented by ${indent}, not ${expected}`]);
    if (!begins && first !== ")" && first !== "}" && indent <= expected)
      faults.push([number, "goes on without indentation"]);
    for (const token of tokens) {
      if (token === "{" && (first === "namespace" || (first === "extern" && tokens.length === 3)))
        open.push("namespace");
      else if (token === "{") {
        open.push(token);
        depth++;
      } else if (token === "(" || token === "[") open.push(token);
      else if (token === ")" || token === "]" || token === "}") if (open.pop() === "{") depth--;
    }
    const last = tokens.at(-1);
    const inside = open.at(-1);
    begins =
      inside !== "(" &&
      inside !== "[" &&
      (last === ";" || last === "{" || last === "}" || last === "," || first === "@" || first === "template");
  }
  return faults;
}

/** Functions, constants, types and their fields whose names stand nowhere else: in a namespace's own text, where it declares them. */
function unusedNames(lines: readonly CodeLine[]): Fault[] {
  const faults: Fault[] = [];
  for (const part of partsOf(lines)) {
    const uses = new Map<string, number>();
    for (const { tokens } of part.visible)
      for (const token of tokens) uses.set(token, (uses.get(token) ?? 0) + 1);
    for (const { number, name } of declaredIn(part.own))
      if (!isEntry(part.own, number) && (uses.get(name) ?? 0) < 2)
        faults.push([number, `nothing uses ${name}`]);
  }
  return faults;
}

interface Part {
  readonly own: readonly CodeLine[];
  /** Where what is declared may be used: a namespace inside sees what is around it. */
  readonly visible: readonly CodeLine[];
}

/** A module: what lies in its inner namespaces apart. */
function partsOf(lines: readonly CodeLine[]): Part[] {
  const inner: { readonly own: CodeLine[]; readonly open: boolean }[] = [];
  const own: CodeLine[] = [];
  let namespaces = 0;
  for (const line of lines) {
    if (line.tokens[0] === "namespace") {
      namespaces++;
      if (namespaces === 2) inner.push({ own: [], open: line.tokens[1] === "{" });
    } else if (line.text.startsWith("}  // namespace")) namespaces--;
    (namespaces >= 2 ? (inner.at(-1)?.own ?? own) : own).push(line);
  }
  return [
    { own, visible: lines },
    ...inner.map((part) => ({ own: part.own, visible: part.open ? lines : part.own })),
  ];
}

/** What begins at the margin, and the fields of its structs. */
function declaredIn(lines: readonly CodeLine[]): { number: number; name: string }[] {
  const declared: { number: number; name: string }[] = [];
  let struct = false;
  for (const { number, text } of lines) {
    const value = /^(?:const|constexpr|override|using|var<\w+>)\s(?:[^=:;]*\s)?(\w+)\s*[=:]/.exec(text)?.[1];
    const type = /^struct (\w+)/.exec(text)?.[1];
    const method = /^(?:fn |(?:__device__|inline) [^(=;]*?)(\w+)\(/.exec(text)?.[1];
    const field = struct ? /^ {2}(?:(\w+): .*,|[\w ]*?(\w+);)$/.exec(text) : null;
    const name = value ?? type ?? method ?? field?.[1] ?? field?.[2];
    if (name !== undefined) declared.push({ number, name });
    if (type !== undefined) struct = true;
    else if (text.startsWith("}")) struct = false;
  }
  return declared;
}

/** Whether a declaration is called from outside. */
function isEntry(lines: readonly CodeLine[], number: number): boolean {
  const at = lines.findIndex((line) => line.number === number);
  return lines[at - 1]?.tokens[0] === "@" || (lines[at]?.tokens.includes("__global__") ?? false);
}

/** Parameters that their function's body does not name. */
function unusedParameters(lines: readonly CodeLine[]): Fault[] {
  const faults: Fault[] = [];
  for (let at = 0; at < lines.length; at++) {
    const text = lines[at]?.text ?? "";
    // What entry points take is what the plan binds.
    if (isEntry(lines, lines[at]?.number ?? 0)) continue;
    if (!/^(?:fn |__device__ |inline |\w[\w ]*\w\(.*\{$)/.test(text)) continue;
    const end = lines.findIndex(({ text: line }, index) => index > at && line === "}");
    if (end < 0) continue;
    const tokens = lines.slice(at, end).flatMap((line) => line.tokens);
    const body = tokens.indexOf("{");
    if (body < 0) continue;
    const inBody = new Set(tokens.slice(body));
    for (const name of parametersOf(tokens.slice(0, body)))
      if (!inBody.has(name)) faults.push([lines[at]?.number ?? 0, `the parameter ${name} is not used`]);
  }
  return faults;
}

function parametersOf(head: readonly string[]): string[] {
  // The last group of parentheses at the top: before it may stand `__launch_bounds__(…)`.
  const groups: string[][] = [];
  let depth = 0;
  for (const token of head) {
    if (token === "(") depth++;
    if (depth === 1 && token === "(") groups.push([]);
    else if (depth > 0) groups.at(-1)?.push(token);
    if (token === ")") depth--;
  }
  const list = (groups.at(-1) ?? []).slice(0, -1);
  const names: string[] = [];
  let parameter: string[] = [];
  let nested = 0;
  for (const token of [...list, ","]) {
    if (/^[([<]$/.test(token)) nested++;
    if (/^[)\]>]$/.test(token)) nested--;
    if (token !== "," || nested > 0) {
      parameter.push(token);
      continue;
    }
    const name = nameOf(parameter);
    if (name !== null) names.push(name);
    parameter = [];
  }
  return names;
}

/** `row: i32`, `const float* from`, `float (&y)[4]`, `const float (*weights)[4]`; none for a lone type: `int`. */
function nameOf(parameter: readonly string[]): string | null {
  const colon = parameter.indexOf(":");
  if (colon > 0) return parameter[colon - 1] ?? null;
  const bracket = parameter.findIndex((token) => token === "[" || token === ")");
  const before = bracket < 0 ? parameter : parameter.slice(0, bracket);
  const names = before.filter((token) => /^[A-Za-z_]/.test(token));
  return names.length > 1 && /^[A-Za-z_]/.test(before.at(-1) ?? "") ? (before.at(-1) ?? null) : null;
}
