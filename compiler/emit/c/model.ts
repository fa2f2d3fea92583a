import type { Artifact, Pipeline, Plan } from "../../../runtime/contract/index.ts";
import { attentionFields, type Field, stageFields } from "../../../runtime/contract/library-words.ts";
import type { Api } from "../capi/api.ts";
import { callModel, parameterMacro } from "../capi/header.ts";
import { floatDigits } from "../dialect/dialect.ts";

/** What binds the C library to an attention, in the direction of a plan: its constants, and the functions that the header declares. */
export function launchModel(pipeline: Pipeline, artifact: Artifact, plan: Plan, api: Api, place: string) {
  return {
    ...callModel(pipeline, artifact, api, plan.direction),
    place,
    hasParameters: pipeline.parameters.length > 0,
    attention: initializers(attentionFields(plan), api),
    stages: stageFields(plan).map((fields) => initializers(fields, api)),
  };
}

/** C gives 0 to what an initializer leaves out. */
function initializers(fields: readonly Field[], api: Api): readonly string[] {
  return fields
    .filter(
      ({ value, enumerator, parameter }) =>
        value !== 0 || enumerator !== undefined || parameter !== undefined,
    )
    .map((field) => `.${field.name} = ${printValue(field, api)}`);
}

function printValue({ value, type, enumerator, parameter }: Field, { name }: Api): string {
  if (enumerator !== undefined) return enumerator;
  if (parameter !== undefined) return `${name.toUpperCase()}_${parameterMacro(parameter)}_AT`;
  return type === "int" ? String(value) : `${floatDigits(shortestFloat(value))}f`;
}

/** The number with the fewest digits that is the same float. */
function shortestFloat(value: number): number {
  const float = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(float.toPrecision(digits));
    if (Math.fround(shorter) === float) return shorter;
  }
  return float;
}
