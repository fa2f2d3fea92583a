import { EmulatorError } from "../errors.ts";
import { KernelBody } from "./body.ts";
import type { Location, ParsedKernel, ParsedModule, Variable } from "./ir.ts";
import { Scanner } from "./scan.ts";
import { isStateSpace, parseVariable } from "./variable.ts";

const WORD = /[$\w]+/y;
const DIRECTIVE = /\.[a-zA-Z_]\w*/y;

/** Reads a whole PTX module (PTX ISA 9.0, chapters 4, 5 and 11: syntax, state spaces, directives). */
export function parseModule(source: string): ParsedModule {
  const scanner = new Scanner(source);
  const kernels: ParsedKernel[] = [];
  const variables: Variable[] = [];
  const files = new Map<number, string>();
  let architecture = 0;
  while (!scanner.done) {
    const line = scanner.line();
    const directive = scanner.match(DIRECTIVE)?.[0];
    switch (directive) {
      case ".target":
        architecture = Number(/\bsm_(\d+)/.exec(scanner.restOfLine())?.[1] ?? 0);
        break;
      case ".version":
      case ".address_size":
      case ".loc":
        scanner.restOfLine();
        break;
      case ".file": {
        const found = /^(\d+)\s+"([^"]*)"/.exec(scanner.restOfLine());
        if (found !== null) files.set(Number(found[1]), found[2] ?? "");
        break;
      }
      case ".section":
        scanner.match(/\S+/y);
        scanner.skipBraces();
        break;
      case ".pragma":
      case ".alias":
        scanner.until(";");
        break;
      // Linking directives say nothing to an emulator that has one module.
      case ".visible":
      case ".extern":
      case ".weak":
      case ".common":
        break;
      case ".entry":
        kernels.push(parseKernel(scanner, line));
        break;
      case ".func":
        skipFunction(scanner);
        break;
      default: {
        const space = directive?.slice(1) ?? "";
        if (!isStateSpace(space)) {
          const found = directive ?? scanner.restOfLine();
          throw new EmulatorError("MTA851", `PTX line ${line}: unknown directive "${found}"`);
        }
        variables.push(...parseVariable(space, scanner.until(";"), line));
      }
    }
  }
  return { architecture, kernels, variables, files };
}

/** Functions are skipped: a call of one is what is refused (MTA850). */
function skipFunction(scanner: Scanner): void {
  for (;;) {
    const next = scanner.peek();
    if (next === ";") {
      scanner.position++;
      return;
    }
    if (next === "{") {
      scanner.skipBraces();
      return;
    }
    if (next === "") return;
    scanner.position++;
  }
}

function parseParameters(scanner: Scanner, line: number): Variable[] {
  if (scanner.peek() !== "(") return [];
  scanner.take("(");
  const list = scanner.until(")").trim();
  if (list === "") return [];
  return list.split(",").flatMap((part) => {
    const found = /^\s*\.param\s+([\s\S]*)$/.exec(part);
    if (found === null) {
      throw new EmulatorError("MTA851", `PTX line ${line}: cannot read the parameter "${part.trim()}"`);
    }
    return parseVariable("param", found[1] ?? "", line);
  });
}

function parseKernel(scanner: Scanner, line: number): ParsedKernel {
  const name = scanner.match(WORD)?.[0];
  if (name === undefined) throw new EmulatorError("MTA851", `PTX line ${line}: .entry has no name`);
  const parameters = parseParameters(scanner, line);
  let maxThreads: number | null = null;
  let requiredThreads: [number, number, number] | null = null;
  while (scanner.peek() === ".") {
    const directive = scanner.match(DIRECTIVE)?.[0];
    const numbers = scanner.restOfLine().match(/\d+/g)?.map(Number) ?? [];
    if (directive === ".maxntid") maxThreads = numbers.reduce((product, count) => product * count, 1);
    else if (directive === ".reqntid") {
      requiredThreads = [numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1];
      maxThreads = numbers.reduce((product, count) => product * count, 1);
    } else if (directive !== ".minnctapersm" && directive !== ".maxnreg" && directive !== ".maxnctapersm") {
      throw new EmulatorError(
        "MTA850",
        `PTX line ${line}: kernel ${name} has the directive ${directive}, not implemented`,
      );
    }
  }
  const body = new KernelBody(name);
  parseBody(scanner, body);
  return body.finish(parameters, maxThreads, requiredThreads, line);
}

const LOCATION = /^(\d+)\s+(\d+)\s+\d+(?:.*inlined_at\s+(\d+)\s+(\d+))?/;

function parseBody(scanner: Scanner, body: KernelBody): void {
  scanner.take("{");
  body.openScope();
  while (body.depth > 0) {
    const next = scanner.peek();
    const line = scanner.line();
    if (next === "") throw new EmulatorError("MTA851", `PTX ends inside kernel ${body.name}`);
    if (next === "{") {
      scanner.position++;
      body.openScope();
    } else if (next === "}") {
      scanner.position++;
      body.closeScope();
    } else if (next === ";") {
      scanner.position++;
    } else if (next === ".") {
      parseBodyDirective(scanner, body, line);
    } else {
      const label = scanner.match(/([$%\w]+)\s*:(?!:)/y);
      if (label === null) body.instruction(scanner.until(";"), line);
      else parseLabel(scanner, body, label[1] ?? "");
    }
  }
}

function parseLabel(scanner: Scanner, body: KernelBody, label: string): void {
  const table = scanner.match(/\.branchtargets\b/y);
  if (table === null) body.label(label);
  else body.branchTable(label, scanner.until(";"));
}

function parseBodyDirective(scanner: Scanner, body: KernelBody, line: number): void {
  const directive = scanner.match(DIRECTIVE)?.[0] ?? "";
  if (directive === ".loc") {
    const found = LOCATION.exec(scanner.restOfLine());
    if (found !== null) body.location = readLocation(found);
    return;
  }
  if (directive === ".pragma") {
    scanner.until(";");
    return;
  }
  if (directive === ".reg") {
    body.declareRegisters(scanner.until(";"), line);
    return;
  }
  const space = directive.slice(1);
  if (!isStateSpace(space)) {
    throw new EmulatorError(
      "MTA851",
      `PTX line ${line}: unknown directive "${directive}" in kernel ${body.name}`,
    );
  }
  for (const variable of parseVariable(space, scanner.until(";"), line)) body.declareVariable(variable);
}

function readLocation(found: RegExpExecArray): Location | null {
  // Line 0 is "compiler generated": the last known line says more.
  if (found[2] === "0") return null;
  return {
    file: Number(found[1]),
    line: Number(found[2]),
    inlinedFile: found[3] === undefined ? null : Number(found[3]),
    inlinedLine: found[4] === undefined ? null : Number(found[4]),
  };
}
