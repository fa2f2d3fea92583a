import { EmulatorError } from "./errors.ts";
import type { GlobalMemory } from "./machine/global-memory.ts";
import type { ParsedKernel, ParsedModule, Variable } from "./ptx/ir.ts";
import { parseModule } from "./ptx/parse.ts";
import { type CompiledKernel, compileKernel } from "./translate/kernel.ts";

export interface EmulatedKernel {
  readonly name: string;
  readonly parameters: readonly { readonly offset: number; readonly bytes: number }[];
  readonly parameterBytes: number;
  /** `.maxntid` (or `.reqntid`), all axes multiplied. */
  readonly maxThreads: number | null;
  /** Local memory of a thread: stack, spilled arrays. */
  readonly localBytes: number;
}

export interface EmulatedModule {
  readonly kernels: ReadonlyMap<string, EmulatedKernel>;
}

export interface LoadedKernel {
  readonly kernel: EmulatedKernel;
  readonly compiled: CompiledKernel;
}

function alignTo(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

/** Offsets of variables laid out one after the other, each aligned. */
function layOut(variables: readonly Variable[]): { offsets: number[]; end: number } {
  let end = 0;
  const offsets = variables.map((variable) => {
    const offset = alignTo(end, variable.align);
    end = offset + variable.bytes;
    return offset;
  });
  return { offsets, end };
}

/** Names that a kernel's operands mention. */
function namesIn(parsed: ParsedKernel): Set<string> {
  const names = new Set<string>();
  for (const { operands } of parsed.instructions) {
    for (const operand of operands) {
      if (operand.kind === "symbol") names.add(operand.name);
      if (operand.kind === "address" && typeof operand.base === "string") names.add(operand.base);
    }
  }
  return names;
}

function loadKernel(
  parsed: ParsedKernel,
  { files, variables, architecture }: ParsedModule,
  globals: ReadonlyMap<string, bigint>,
): LoadedKernel {
  const names = namesIn(parsed);
  const used = [...parsed.variables, ...variables.filter((variable) => names.has(variable.name))];
  const addresses = new Map<string, bigint>();
  const place = (list: readonly Variable[]) => {
    const { offsets, end } = layOut(list);
    list.forEach((variable, index) => void addresses.set(variable.name, BigInt(offsets[index] ?? 0)));
    return end;
  };
  const parameterBytes = place(parsed.parameters);
  const localBytes = alignTo(place(used.filter(({ space }) => space === "local")), 16);
  const shared = used.filter(({ space }) => space === "shared");
  const fixed = place(shared.filter(({ bytes }) => bytes > 0));
  // Dynamic shared memory starts behind the static arrays; all `.extern .shared x[]` share that address.
  const dynamic = shared.filter(({ bytes }) => bytes === 0);
  const staticShared = alignTo(fixed, Math.max(1, ...dynamic.map(({ align }) => align)));
  for (const { name } of dynamic) addresses.set(name, BigInt(staticShared));
  const offsets = layOut(parsed.parameters).offsets;
  const kernel: EmulatedKernel = {
    name: parsed.name,
    parameters: parsed.parameters.map(({ bytes }, index) => ({ offset: offsets[index] ?? 0, bytes })),
    parameterBytes,
    maxThreads: parsed.maxThreads,
    localBytes,
  };
  const symbols = { find: (name: string) => addresses.get(name) ?? globals.get(name) ?? null };
  return {
    kernel,
    compiled: compileKernel(parsed, files, symbols, { localBytes, staticShared, architecture }),
  };
}

/** A module's text, with the places of its variables in device memory: all that its kernels are made of. */
export interface ModuleSource {
  readonly ptx: Uint8Array;
  readonly globals: ReadonlyMap<string, bigint>;
}

function translated(parsedModule: ParsedModule, globals: ModuleSource["globals"]): LoadedKernel[] {
  return parsedModule.kernels.map((parsed) => loadKernel(parsed, parsedModule, globals));
}

/** The kernels of a module that was loaded before. */
export function remake({ ptx, globals }: ModuleSource): LoadedKernel[] {
  return translated(parseModule(new TextDecoder().decode(ptx)), globals);
}

/** Parses a module, places its variables in device memory, and translates its kernels. */
export function loadModule(
  text: string,
  name: string,
  memory: GlobalMemory,
  checks: boolean,
): { readonly source: ModuleSource; readonly kernels: LoadedKernel[] } {
  try {
    const parsedModule = parseModule(text);
    const globals = new Map<string, bigint>();
    for (const variable of parsedModule.variables) {
      if (variable.space !== "global" && variable.space !== "const") continue;
      const address = memory.allocate(variable.bytes, variable.name, checks, variable.space === "const");
      globals.set(variable.name, address);
      // Variables without an initial value are zero (PTX ISA 9.0, section "Initializers").
      memory.fill(address, variable.bytes, 0);
      if (variable.initial !== null) memory.write(address, variable.initial);
    }
    return {
      source: { ptx: new TextEncoder().encode(text), globals },
      kernels: translated(parsedModule, globals),
    };
  } catch (error) {
    if (!(error instanceof EmulatorError) || (error.code !== "MTA850" && error.code !== "MTA851"))
      throw error;
    throw new EmulatorError(error.code === "MTA850" ? "MTA850" : "MTA851", `${name}: ${error.message}`, {
      kernel: error.kernel,
      ...(error.remedy === null ? {} : { remedy: error.remedy }),
    });
  }
}
