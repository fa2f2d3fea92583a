/** mta_830m → Mta830m; _1 → _1, since no identifier begins with a digit. */
export function pascalCase(name: string): string {
  const joined = name
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
  return /^[A-Z]/.test(joined) ? joined : `_${joined}`;
}

/** mta_830m → mta830m: for names that something else precedes or follows, so that no reserved word can result. */
export function camelCase(name: string): string {
  const pascal = pascalCase(name);
  return pascal.charAt(0).toLowerCase() + pascal.slice(1);
}

/** What the module of an attention or stack exports, beside the names that all modules share. */
export interface EmittedNames {
  /** `createMta830m`, an alias of `create`. */
  readonly create: string;
  readonly parameters: string;
  readonly inputs: string;
  readonly result: string;
  readonly gradients: string;
  readonly launcher: string;
  /** `initMta830mParameters` and `mta830mPipeline`: what one module for a whole spec calls `initParameters` and `pipeline`. */
  readonly initParameters: string;
  readonly pipeline: string;
  /** For imports of the whole module: `mta830mModule`. */
  readonly namespace: string;
}

export function emittedNames(name: string): EmittedNames {
  const pascal = pascalCase(name);
  return {
    create: `create${pascal}`,
    parameters: `${pascal}Parameters`,
    inputs: `${pascal}Inputs`,
    result: `${pascal}Result`,
    gradients: `${pascal}Gradients`,
    launcher: `${pascal}Launcher`,
    initParameters: `init${pascal}Parameters`,
    pipeline: `${camelCase(name)}Pipeline`,
    namespace: `${camelCase(name)}Module`,
  };
}
