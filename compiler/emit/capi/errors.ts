import {
  FORWARD_TENSORS,
  type Pipeline,
  type Plan,
  TENSORS,
  type TensorResource,
  tensorExists,
  usesLayer,
} from "../../../runtime/contract/index.ts";
import type { Api } from "./api.ts";

/** What a backward pass reads. */
const BACKWARD_TENSORS = TENSORS.filter(({ role }) => role === "input" || role === "output_gradient");

/**
 * The kinds of codes that `<name>_launch` and `<name>_backward` return for a call that they refuse; their names are macros of the header. Where a field is
 * wrong, the code is its kind, less 100 times the field's number.
 */
const KINDS = {
  NULL_POINTER: -1,
  SIZE: -2,
  TOO_LARGE: -3,
  ALIGNMENT: -4,
  WORKSPACE: -5,
  DEVICE: -6,
} as const;
type Kind = keyof typeof KINDS;

/** What may be wrong, numbered from 1. The same for every attention, so that codes mean the same; new ones go to the end. */
const FIELDS = [
  "batches",
  "query_rows",
  "key_rows",
  "history_rows",
  "q",
  "q_history",
  "k",
  "v",
  "o",
  "parameters",
  "documents",
  "lengths",
  "bias",
  "layer",
  "workspace",
  "threads",
  "d_o",
] as const;
type Field = (typeof FIELDS)[number];

function isField(name: string): name is Field {
  return FIELDS.some((field) => field === name);
}

/** `MOST_THREADS` of `templates/c/threads.h`. */
export const MOST_THREADS = 256;

/** One check of a call. */
interface Check {
  readonly kind: Kind;
  readonly field: Field;
  /** An expression, in C or C++, that holds for a call that is refused. */
  readonly condition: string;
  /** What the caller reads. */
  readonly text: string;
}

/**
 * What the header and the sources say of errors: kinds, fields, the checks of a call, the text of every code.
 *
 * @param gradients Whether there are backward passes, too: their codes have texts then.
 * @param direction What a backward pass is checked for, if it is one.
 */
export function errorModel(
  pipeline: Pipeline,
  alignment: Plan["alignment"],
  api: Api,
  gradients: boolean,
  direction?: Plan["direction"],
) {
  const upper = api.name.toUpperCase();
  const sizes = [...sizeChecks(pipeline, api), ...threadChecks(api)];
  const tensorChecks = (tensors: readonly TensorResource[]): readonly Check[] => [
    ...pointerChecks(pipeline, tensors, api),
    ...alignmentChecks(pipeline, tensors, alignment, api),
  ];
  const forward = tensorChecks(FORWARD_TENSORS);
  const backward = gradients ? tensorChecks(BACKWARD_TENSORS) : [];
  const model = ({ kind, field, condition, text }: Check) => {
    const code = `${upper}_ERROR_${kind} - ${100 * (FIELDS.indexOf(field) + 1)}`;
    return { code, check: `if (${condition}) return ${code};`, text: `${field} ${text}` };
  };
  // Several checks of a field may give the same code: its text tells of all.
  const unique = new Map([...sizes, ...forward, ...backward].map((each) => [each.kind + each.field, each]));
  const workspace = checksOf("ALIGNMENT")(
    "workspace",
    `${api.address("workspace")} % 256 != 0`,
    "is not aligned to 256 bytes",
  );
  return {
    kinds: Object.entries(KINDS)
      .filter(([name]) => api.cuda || name !== "DEVICE")
      .map(([name, value]) => ({ name, value })),
    fields: FIELDS.map((name, index) => ({ name, text: `${index + 1} ${name}` }))
      .filter(({ name }) => (name !== "threads" || !api.cuda) && (name !== "d_o" || gradients))
      .map(({ text }) => text),
    sizeChecks: sizes.map(model),
    pointerChecks: (direction === "backward" ? backward : forward).map(model),
    workspaceCheck: model(workspace),
    fieldErrors: [...unique.values(), ...(api.cuda ? [workspace] : [])].map(model),
  };
}

/** Makes checks of one kind. */
function checksOf(kind: Kind) {
  return (field: Field, condition: string, text: string): Check => ({ kind, field, condition, text });
}

function sizeChecks(pipeline: Pipeline, api: Api): readonly Check[] {
  const size = checksOf("SIZE");
  const least = (field: Field): Check => size(field, `call->${field} < 1`, "must be at least 1");
  const rows =
    pipeline.mask.length === 0
      ? least("query_rows")
      : size(
          "query_rows",
          "call->query_rows < 1 || call->query_rows > call->key_rows",
          "must be at least 1 and at most key_rows",
        );
  const history = [
    "call->history_rows < 0",
    `call->positions == ${api.nothing} && call->history_rows > 0 && call->history_rows > call->key_rows - call->query_rows`,
  ].map((condition) =>
    size(
      "history_rows",
      condition,
      "must be at least 0 and, without positions, at most key_rows - query_rows",
    ),
  );
  const layer = usesLayer(pipeline) ? [size("layer", "call->layer < 0", "must be at least 0")] : [];
  return [least("batches"), least("key_rows"), rows, ...history, ...layer];
}

function threadChecks({ cuda }: Api): readonly Check[] {
  if (cuda) return [];
  return [
    checksOf("SIZE")(
      "threads",
      `threads < 1 || threads > ${MOST_THREADS}`,
      `must be at least 1 and at most ${MOST_THREADS}`,
    ),
  ];
}

/** Where the caller says where a tensor lies. */
function givenAt(field: string): string {
  return `${field === "d_o" ? "gradients" : "call"}->${field}`;
}

function pointerChecks(
  pipeline: Pipeline,
  all: readonly TensorResource[],
  { nothing }: Api,
): readonly Check[] {
  const pointer = checksOf("NULL_POINTER");
  const tensors = all.filter((tensor) => !tensor.optional && tensorExists(pipeline, tensor));
  const parameters = pipeline.parameters.length > 0 ? ["parameters"] : [];
  const names: readonly string[] = [...tensors.map(({ name }) => name), ...parameters];
  return [
    ...names
      .filter(isField)
      .map((field) => pointer(field, `${givenAt(field)} == ${nothing}`, "is a null pointer")),
    pointer(
      "q_history",
      `call->history_rows > 0 && call->q_history == ${nothing}`,
      "is a null pointer, and history_rows is not 0",
    ),
  ];
}

function alignmentChecks(
  pipeline: Pipeline,
  all: readonly TensorResource[],
  alignment: Plan["alignment"],
  api: Api,
): readonly Check[] {
  const aligned = checksOf("ALIGNMENT");
  const bytes = pipeline.storage === "f32" ? 4 : 2;
  const like = { q: "q", q_history: "q", k: "k", v: "v", o: "o", d_o: "o" } as const;
  const tensors = all.flatMap((tensor) => (tensor.element === "storage" ? [tensor.name] : []));
  return tensors.map((field) => {
    const elements = api.cuda ? alignment[like[field]] : 1;
    const text =
      elements === 1
        ? `is not aligned to ${bytes} bytes`
        : `is not aligned to ${elements * bytes} bytes, or one of its strides is no multiple of ${elements} elements`;
    const condition = api.cuda
      ? `!aligned(call->${field}, call->${field}_strides, ${elements})`
      : `${api.address(givenAt(field))} % ${bytes} != 0`;
    return aligned(field, condition, text);
  });
}
